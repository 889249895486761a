package sshdtest_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
)

// TestMain lets this test program be its own child: with roleVariable set it starts
// a server, says where, and waits to be killed.
func TestMain(m *testing.M) {
	if keys := os.Getenv(roleVariable); keys != "" {
		s, err := sshdtest.Start(context.Background(), sshdtest.Config{TrustedUserCAKeys: keys, Logins: []string{"deploy"}})
		if err != nil {
			fmt.Println(errors.Is(err, sshdtest.ErrUnavailable), err)
			os.Exit(1)
		}
		fmt.Println(s.Addr())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const roleVariable = "GATEPASS_SSHDTEST_SERVE"

// TestAsNobody runs tests of this package as a user without any rights.
func TestAsNobody(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: the whole run is as a user other than root")
	}
	program := copyForAll(t)
	cmd := exec.CommandContext(t.Context(), program, "-test.v",
		"-test.run=^(TestCertificates|TestHostCertificate|TestAuthorizedPrincipals|TestCommands|TestSFTP|TestTerminal|TestClose)$")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + filepath.Dir(program)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as nobody: %v\n%s", err, out)
	}
	// A kernel or container may keep user namespaces from users: no fault of ours.
	if i := bytes.Index(out, []byte(sshdtest.ErrUnavailable.Error())); i >= 0 {
		line, _, _ := bytes.Cut(out[i:], []byte("\n"))
		t.Skipf("skipped as nobody: %s", line)
	}
}

// copyForAll copies this test program to where other users can run it and write.
func copyForAll(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "nobody-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "sshdtest.test")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// TestUnavailable takes the right to make namespaces away.
func TestUnavailable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root can give the right up")
	}
	_, ca := newKey(t)
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--", "/proc/self/exe")
	cmd.Args[len(cmd.Args)-1] = copyForAll(t)
	cmd.Env = append(os.Environ(), roleVariable+"="+authorized(ca.PublicKey()), "TMPDIR="+folder)
	out, _ := cmd.CombinedOutput()
	if !strings.HasPrefix(string(out), "true ") || !strings.Contains(string(out), "refuses new namespaces") {
		t.Errorf("got %q, want ErrUnavailable with the reason", out)
	}
	if err := temporaries(folder); err != nil {
		t.Error(err)
	}
}

// TestRootByItsPrincipal shows that it is principals that keep others out of root.
func TestRootByItsPrincipal(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: only root's sshd can become root")
	}
	_, ca := newKey(t)
	key, signer := newKey(t)
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	cert := userCert(t, ca, signer.PublicKey(), func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root"} })
	output, status := newClient(t, key, cert, s).ssh(t, s, "root", "id -u; echo $HOME")
	if status != 0 || !strings.HasPrefix(output, "0\n") || !strings.HasSuffix(output, "/home/root\n") {
		t.Errorf("got status %d and %q, want root in a home of the server's own", status, output)
	}
}

// TestEndsWithItsParent kills the process that started a server, which so cannot
// close it.
func TestEndsWithItsParent(t *testing.T) {
	_, ca := newKey(t)
	sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}}) // or skip
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+authorized(ca.PublicKey()), "TMPDIR="+t.TempDir())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the server does not listen: %v", err)
	}
	_ = conn.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return nil
		}
		_ = conn.Close()
		return errors.New("sshd has outlived the process that started it")
	})
}

// TestNothingOutsideChanges logs in on a terminal, which sshd notes in system files,
// and leaves a process behind.
func TestNothingOutsideChanges(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	cert := userCert(t, ca, signer.PublicKey(), func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} })
	before := outside(t)
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	c := newClient(t, key, cert, s)
	c.args = []string{"-tt"}
	// The seconds to sleep are a marker that /proc shows; setsid leaves its group.
	marker := fmt.Sprintf("60%d", os.Getpid())
	command := "setsid sh -c 'touch left; exec sleep " + marker + "' </dev/null >/dev/null 2>&1 & " +
		"until test -e left; do sleep 0.05; done; whoami"
	if output, status := c.ssh(t, s, "deploy", command); status != 0 || strings.TrimSpace(output) != "deploy" {
		t.Fatalf("got status %d and %q", status, output)
	}
	if n := running(t, marker); n != 1 {
		t.Errorf("%d processes were left in the session, want 1 for this test to mean something", n)
	}
	if during := outside(t); during != before {
		t.Errorf("the machine changed, from\n%s\nto\n%s", before, during)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := running(t, marker); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// outside describes what a server could change of the machine.
func outside(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"/etc/passwd", "/etc/group", "/proc/self/mountinfo"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	for _, name := range []string{"/run/sshd", "/run/utmp", "/var/log/wtmp", "/var/log/lastlog", "/var/log/btmp"} {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintln(&b, name, info.Size(), info.ModTime())
		}
	}
	return b.String()
}

// running counts the processes of the machine with an argument.
func running(t *testing.T, arg string) (n int) {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		if text, err := os.ReadFile(name); err == nil && string(text) == "sleep\x00"+arg+"\x00" {
			n++
		}
	}
	return n
}
