package sshdtest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
)

// newKey returns a new Ed25519 key.
func newKey(t *testing.T) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, signer
}

// authorized is key in authorized_keys format, with its line end.
func authorized(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

// userCert returns a certificate for key by ca that is good for login "deploy" now,
// after change.
func userCert(t *testing.T, ca ssh.Signer, key ssh.PublicKey, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{
		Key:             key,
		CertType:        ssh.UserCert,
		KeyId:           "test",
		ValidPrincipals: []string{"deploy"},
		ValidAfter:      uint64(time.Now().Add(-time.Minute).Unix()),
		ValidBefore:     uint64(time.Now().Add(time.Hour).Unix()),
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return cert
}

// client is an OpenSSH client with one key, and perhaps a certificate for it.
type client struct {
	folder     string
	knownHosts string
	args       []string // further ones, before the host
}

func newClient(t *testing.T, key ed25519.PrivateKey, cert *ssh.Certificate, s *sshdtest.Server) *client {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	c := &client{folder: t.TempDir(), knownHosts: knownhosts.Line([]string{s.Addr()}, s.HostKey())}
	c.write(t, "key", string(pem.EncodeToMemory(block)))
	if cert != nil {
		c.write(t, "key-cert.pub", authorized(cert))
	}
	return c
}

func (c *client) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// options returns the arguments that keep ssh and sftp to this client's files.
func (c *client) options(t *testing.T, s *sshdtest.Server) []string {
	t.Helper()
	c.write(t, "known_hosts", c.knownHosts+"\n")
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"-F", "none", "-i", filepath.Join(c.folder, "key"),
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=none",
		"-o", "UserKnownHostsFile=" + filepath.Join(c.folder, "known_hosts"),
		"-o", "ConnectTimeout=10", "-o", "Port=" + port, "-o", "LogLevel=ERROR",
	}, c.args...)
}

// ssh runs command at s and returns what it wrote and its exit status; ssh's own
// failures have status 255.
func (c *client) ssh(t *testing.T, s *sshdtest.Server, login string, command ...string) (output string, status int) {
	t.Helper()
	args := append(c.options(t, s), login+"@127.0.0.1", "--")
	return run(t, "", "ssh", append(args, command...)...)
}

// run runs a client program; a missing one skips the test, or with CI set fails it.
func run(t *testing.T, stdin, name string, args ...string) (output string, status int) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("skipped: %v (make tools)", err)
		}
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// eventually fails the test unless check has no error within ten seconds.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for range 200 {
		if err = check(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error(err)
}

// temporaries lists the servers' folders in the temporary folder of this test.
func temporaries(folder string) error {
	found, err := filepath.Glob(filepath.Join(folder, "gatepass-sshd-*"))
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("left behind: %v", found)
	}
	return nil
}
