package test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func authorizedLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func at(s *sshdtest.Server) string { return "deploy@" + s.Addr() }

func TestSSH(t *testing.T) {
	w := newLoginWorld(t)
	t.Run("what is typed is what comes", func(t *testing.T) { sshStreams(t, w) })
	t.Run("who the host is", func(t *testing.T) { sshHostKeys(t, w) })
	t.Run("through another host", func(t *testing.T) { sshJump(t, w) })
	t.Run("a host that falls silent", func(t *testing.T) { sshSilent(t, w) })
	t.Run("several hosts", func(t *testing.T) { sshMany(t, w) })
	w.nothingLeft(t)
	left, err := os.ReadDir(w.home)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("something was written into the job's home: %v", left)
	}
}

func sshStreams(t *testing.T, w *world) {
	cmd := w.command(t, "ssh", at(w.host), "--", "cat; echo trouble >&2; exit 5")
	cmd.Stdin = strings.NewReader("one\x00two\n")
	r := worldtest.Run(t, cmd)
	if r.Stdout != "one\x00two\n" || r.Stderr != "trouble\n" || r.Status != 5 {
		t.Errorf("%d %q %q", r.Status, r.Stdout, r.Stderr)
	}
	if out := w.run(t, "ssh", "-p", port(t, w.host), "127.0.0.1", "--", "whoami; test -t 0 || echo no terminal").OK(t); out != "deploy\nno terminal\n" {
		t.Errorf("the certificate's one principal is the login, without a terminal: %q", out)
	}
	if out := w.run(t, "ssh", "-t", at(w.host), "--", "test -t 0 && echo a terminal").OK(t); out != "a terminal\r\n" {
		t.Errorf("with -t: %q", out)
	}
	w.run(t, "ssh", at(w.host), "--", "kill -TERM $$").Failed(t, 128+15)
	w.run(t, "ssh", "-l", "root", w.host.Addr(), "--", "true").Failed(t, 255, `does not log in "root"`, "the certificate is for [deploy]", "TrustedUserCAKeys")
	w.run(t, "ssh", "deploy@127.0.0.1:1", "--", "true").Failed(t, 255, "cannot be reached", "hint: ")
	w.run(t, "ssh", "--", "true").Failed(t, 2, "no host is given")
}

func sshHostKeys(t *testing.T, w *world) {
	dir := t.TempDir()
	host, portOf, _ := strings.Cut(w.plain.Addr(), ":")
	knows := func(name string, key ssh.PublicKey, mark string) string {
		return write(t, dir, name, fmt.Sprintf("%s[%s]:%s %s\n", mark, host, portOf, authorizedLine(key)))
	}
	key := w.plain.HostKey()
	other := w.host.HostKey()
	foreign := w.sshdOf(t, "127.0.0.1", newSSHKey(t))
	elsewhere := w.SSHD(t, "web-1.example.com")
	for name, test := range map[string]struct {
		host *sshdtest.Server
		args []string
		says string // empty when the host is trusted
	}{
		"a certificate of the service":             {w.host, nil, ""},
		"no certificate":                           {w.plain, nil, "it has no certificate of the service's host authority"},
		"its key is in known_hosts":                {w.plain, []string{"--known-hosts", knows("good", key, "")}, ""},
		"another key is in known_hosts":            {w.plain, []string{"--known-hosts", knows("bad", other, "")}, "the known_hosts file has another key for it"},
		"its key is revoked":                       {w.plain, []string{"--known-hosts", knows("revoked", key, "@revoked "), "--host-key", authorizedLine(key)}, "is marked @revoked"},
		"its certified key is revoked":             {w.host, []string{"--known-hosts", write(t, dir, "revokedhost", "@revoked * "+authorizedLine(other)+"\n")}, "is marked @revoked"},
		"the line --host-key":                      {w.plain, []string{"--host-key", authorizedLine(key)}, ""},
		"the fingerprint --host-key":               {w.plain, []string{"--host-key", ssh.FingerprintSHA256(key)}, ""},
		"another --host-key":                       {w.plain, []string{"--host-key", ssh.FingerprintSHA256(other)}, "its key is none of --host-key"},
		"a pin wins over a certificate":            {w.host, []string{"--host-key", ssh.FingerprintSHA256(key)}, "its key is none of --host-key"},
		"a pinned key with a certificate":          {w.host, []string{"--host-key", ssh.FingerprintSHA256(other)}, ""},
		"a certificate of another authority":       {foreign, nil, "signed by another than the service's host authority"},
		"that one's key is in known_hosts":         {foreign, []string{"--host-key", authorizedLine(foreign.HostKey())}, ""},
		"a certificate for another name":           {elsewhere, nil, "its certificate does not hold"},
		"the only way round":                       {w.plain, []string{"--insecure-ignore-host-key"}, ""},
		"a file that knows nobody changes nothing": {w.host, []string{"--known-hosts", write(t, dir, "empty", "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.run(t, append(append([]string{"ssh"}, test.args...), at(test.host), "--", "whoami")...)
			if test.says == "" {
				if r.OK(t) != "deploy\n" {
					t.Errorf("it says %q", r.Stdout)
				}
				return
			}
			r.Failed(t, 255, "host 127.0.0.1 is not trusted", test.says, "SHA256:", "hint: ")
			if r.Stdout != "" {
				t.Errorf("the command ran: %q", r.Stdout)
			}
		})
	}
}

// The destination is checked through the jump host like any other, and the jump host too.
func sshJump(t *testing.T, w *world) {
	out := w.run(t, "ssh", "-J", at(w.host), at(w.host), "--", "echo $SSH_CONNECTION").OK(t)
	if from, _, _ := strings.Cut(out, " "); from != "127.0.0.1" {
		t.Errorf("it comes from %q", out)
	}
	if !strings.Contains(w.host.Log(), "direct-tcpip") && strings.Count(w.host.Log(), "Accepted publickey for deploy") < 2 {
		t.Error("the jump host was not used")
	}
	w.run(t, "ssh", "-J", at(w.plain), at(w.host), "--", "true").Failed(t, 255, "is not trusted", "no certificate")
	w.run(t, "ssh", "-J", at(w.host), at(w.plain), "--", "true").Failed(t, 255, "is not trusted", "no certificate")
	w.run(t, "ssh", "-J", at(w.host), "--host-key", authorizedLine(w.plain.HostKey()), at(w.plain), "--", "true").OK(t)
	w.run(t, "ssh", "-J", at(w.host), "deploy@127.0.0.1:1", "--", "true").Failed(t, 255, "cannot be reached")

	// A role that does not permit port forwarding makes no jump host.
	w.Apply(strings.Replace(w.rules, "port_forwarding: true", "port_forwarding: false", 1))
	defer w.Apply(w.rules)
	w.run(t, "ssh", "-J", at(w.host), at(w.host), "--", "true").Failed(t, 255, "cannot be reached", "port_forwarding")
}

// A host that says nothing, from the beginning or later, does not keep a job for ever.
func sshSilent(t *testing.T, w *world) {
	w.run(t, "ssh", "--connect-timeout", "300ms", "deploy@"+silent(t), "--", "true").Failed(t, 255, "did not log us in within 300ms", "--connect-timeout")

	proxy, cut := cutOff(t, w.host.Addr())
	cmd := w.command(t, "ssh", "--keepalive", "100ms", "deploy@"+proxy, "--", "echo begun; sleep 20")
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	_, err = bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	cut()
	_ = cmd.Wait()
	worldtest.Ran{Status: cmd.ProcessState.ExitCode(), Stderr: stderr.String()}.Failed(t, 255, "broke off: no answer for 300ms")
}

// cutOff forwards one connection to an address until cut, when it falls silent.
func cutOff(t *testing.T, to string) (address string, cut func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	var silent atomic.Bool
	forward := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if !silent.Load() {
				_, _ = to.Write(buffer[:n])
			}
		}
	}
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			client.Close()
			return
		}
		go forward(server, client)
		forward(client, server)
	}()
	return listener.Addr().String(), func() { silent.Store(true) }
}

func sshMany(t *testing.T, w *world) {
	again := w.SSHD(t, "127.0.0.1")
	r := w.run(t, "ssh", "--parallel", "3", "--keep-going", at(w.host), at(w.plain), at(again), "--", "echo one; echo two; exit 3")
	r.Failed(t, 3,
		"gatepass: "+w.host.Addr()+": exit status 3 after ",
		"gatepass: "+w.plain.Addr()+": failed: host 127.0.0.1 is not trusted",
		"gatepass: "+again.Addr()+": exit status 3 after ")
	for _, line := range []string{w.host.Addr() + ": one\n", w.host.Addr() + ": two\n", again.Addr() + ": one\n"} {
		if !strings.Contains(r.Stdout, line) {
			t.Errorf("stdout lacks %q:\n%s", line, r.Stdout)
		}
	}
	// One after another, the first failure is the last host.
	r = w.run(t, "ssh", at(w.host), at(w.plain), at(again), "--", "true")
	r.Failed(t, 255, w.host.Addr()+": done in ", w.plain.Addr()+": failed", again.Addr()+": not tried")
	w.run(t, "ssh", "--parallel", "2", at(w.host), at(again), "--", "printf x").OK(t)
}
