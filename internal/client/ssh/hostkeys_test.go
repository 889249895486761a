package ssh

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func hostCertificate(t *testing.T, key ssh.PublicKey, authority ssh.Signer, names ...string) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{CertType: ssh.HostCert, Key: key, ValidPrincipals: names, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func userCertificate(t *testing.T, key ssh.PublicKey, authority ssh.Signer, names ...string) *ssh.Certificate {
	t.Helper()
	cert := hostCertificate(t, key, authority, names...)
	cert.CertType = ssh.UserCert
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	return cert
}

func knownHostsFile(t *testing.T, line string) ssh.HostKeyCallback {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	check, err := ReadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	return check
}

func TestHostKeys(t *testing.T) {
	service, team, host, jump := newSigner(t), newSigner(t), newSigner(t), newSigner(t)
	line := func(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }
	pins := func(keys ...ssh.PublicKey) []Pin {
		var all []Pin
		for _, key := range keys {
			pin, err := ParsePin(line(key))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pin)
		}
		return all
	}
	certified := hostCertificate(t, host.PublicKey(), service, "web-1")
	for name, test := range map[string]struct {
		key    ssh.PublicKey
		known  string // a line of known_hosts
		pins   []Pin
		jump   bool
		passed []ssh.PublicKey
		says   string // empty when the host is trusted
	}{
		"a certificate of the service":                    {key: certified},
		"a pattern of names, which OpenSSH does not take": {key: hostCertificate(t, host.PublicKey(), service, "web-?", "*"), says: "does not hold"},
		"a user's certificate":                            {key: userCertificate(t, host.PublicKey(), service, "web-1"), says: "is no host's"},
		"the service's authority is revoked":              {key: certified, known: "@revoked * " + line(service.PublicKey()), says: "@revoked"},
		"the authority of the file is revoked":            {key: hostCertificate(t, host.PublicKey(), team, "web-1"), known: "@cert-authority * " + line(team.PublicKey()) + "\n@revoked * " + line(team.PublicKey()), says: "@revoked"},
		"a pin does not help against a revoked one":       {key: certified, known: "@revoked * " + line(service.PublicKey()), pins: pins(host.PublicKey()), says: "@revoked"},
		"an authority of the file":                        {key: hostCertificate(t, host.PublicKey(), team, "web-1"), known: "@cert-authority * " + line(team.PublicKey())},
		"a certificate of the service names no host":      {key: hostCertificate(t, host.PublicKey(), service), says: "names no host"},
		"one of the file's authority names no host":       {key: hostCertificate(t, host.PublicKey(), team), known: "@cert-authority * " + line(team.PublicKey()), says: "names no host"},
		"a pinned jump host":                              {key: jump.PublicKey(), pins: pins(jump.PublicKey(), host.PublicKey()), jump: true},
		"a pinned destination behind it":                  {key: host.PublicKey(), pins: pins(jump.PublicKey(), host.PublicKey()), passed: []ssh.PublicKey{jump.PublicKey()}},
		"a jump host answers in place of a pinned host":   {key: jump.PublicKey(), pins: pins(jump.PublicKey(), host.PublicKey()), passed: []ssh.PublicKey{jump.PublicKey()}, says: "reached through"},
		"a jump host answers in place of the next one":    {key: jump.PublicKey(), pins: pins(jump.PublicKey(), host.PublicKey()), jump: true, passed: []ssh.PublicKey{jump.PublicKey()}, says: "reached through"},
		"a host of the service behind a pinned jump host": {key: certified, pins: pins(host.PublicKey(), jump.PublicKey()), passed: []ssh.PublicKey{jump.PublicKey()}},
	} {
		t.Run(name, func(t *testing.T) {
			keys := HostKeys{Authorities: []ssh.PublicKey{service.PublicKey()}, Pins: test.pins, Now: time.Now}
			if test.known != "" {
				keys.KnownHosts = knownHostsFile(t, test.known)
			}
			err := keys.check("web-1:22", &net.TCPAddr{IP: net.IPv4zero}, test.key, test.jump, test.passed)
			switch {
			case test.says == "" && err != nil:
				t.Error(err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

// A host that lets us log in and then says nothing does not outlast a signal.
func TestASignalEndsASilentSession(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(newSigner(t))
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		// Nobody reads the channels: a session is neither opened nor refused.
		_, _, requests, err := ssh.NewServerConn(raw, config)
		if err == nil {
			ssh.DiscardRequests(requests)
		}
	}()
	target, err := ParseTarget("deploy@" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := Config{Signer: newSigner(t), HostKeys: HostKeys{InsecureIgnore: true}, Timeout: 10 * time.Second, Version: "test"}
	conn, err := client.Dial(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan int, 1)
	go func() {
		status, _ := conn.Run(ctx, Command{Line: "true", Stdin: strings.NewReader("")})
		ended <- status
	}()
	cancel(Interrupted{Signal: unix.SIGTERM})
	select {
	case status := <-ended:
		if status != 128+15 {
			t.Errorf("status %d", status)
		}
	case <-time.After(grace + 5*time.Second):
		t.Fatal("it goes on")
	}
}
