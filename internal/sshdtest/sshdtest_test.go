package sshdtest_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
)

// TestCertificates presents certificates with OpenSSH's client.
func TestCertificates(t *testing.T) {
	_, ca := newKey(t)
	_, stranger := newKey(t)
	key, signer := newKey(t)
	revokedKey, revoked := newKey(t)

	hour := func(from, to int) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			c.ValidAfter = uint64(time.Now().Add(time.Duration(from) * time.Hour).Unix())
			c.ValidBefore = uint64(time.Now().Add(time.Duration(to) * time.Hour).Unix())
		}
	}
	option := func(name, value string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{name: value} }
	}
	tests := []struct {
		name   string
		login  string
		key    ed25519.PrivateKey
		cert   *ssh.Certificate
		output string // of the command where it is let in

		log string // why it is refused
	}{
		{name: "for its principal", login: "deploy", key: key, cert: userCert(t, ca, signer.PublicKey(), nil),
			output: "home/deploy"},
		{name: "for another login", login: "root", key: key, cert: userCert(t, ca, signer.PublicKey(), nil),
			log: "name is not a listed principal"},
		{name: "for a login that does not exist", login: "nobody-here", key: key, cert: userCert(t, ca, signer.PublicKey(), nil),
			log: "Invalid user nobody-here"},
		{name: "expired", login: "deploy", key: key, cert: userCert(t, ca, signer.PublicKey(), hour(-2, -1)),
			log: "Certificate invalid: expired"},
		{name: "not yet valid", login: "deploy", key: key, cert: userCert(t, ca, signer.PublicKey(), hour(1, 2)),
			log: "Certificate invalid: not yet valid"},
		{name: "without principals", login: "deploy", key: key,
			cert: userCert(t, ca, signer.PublicKey(), func(c *ssh.Certificate) { c.ValidPrincipals = nil }),
			log:  "Certificate lacks principal list"},
		{name: "by another authority", login: "deploy", key: key, cert: userCert(t, stranger, signer.PublicKey(), nil),
			log: "CA ED25519 " + ssh.FingerprintSHA256(stranger.PublicKey())},
		{name: "with a revoked key", login: "deploy", key: revokedKey, cert: userCert(t, ca, revoked.PublicKey(), nil),
			log: "revoked by file"},
		{name: "with an unknown critical option", login: "deploy", key: key,
			cert: userCert(t, ca, signer.PublicKey(), option("moon-phase@example.com", "full")),
			log:  `critical option "moon-phase@example.com" is not supported`},
		{name: "from another address", login: "deploy", key: key,
			cert: userCert(t, ca, signer.PublicKey(), option("source-address", "192.0.2.1/32")),
			log:  "not from a permitted source address"},
		{name: "from this address", login: "deploy", key: key,
			cert: userCert(t, ca, signer.PublicKey(), option("source-address", "127.0.0.0/8")), output: "home/deploy"},
		{name: "with a forced command", login: "deploy", key: key,
			cert:   userCert(t, ca, signer.PublicKey(), option("force-command", "echo forced $SSH_ORIGINAL_COMMAND")),
			output: "forced pwd"},
		{name: "none, the key alone", login: "deploy", key: key,
			log: "Failed publickey for deploy"},
	}
	s := sshdtest.Run(t, sshdtest.Config{
		TrustedUserCAKeys: authorized(ca.PublicKey()),
		RevokedKeys:       authorized(revoked.PublicKey()),
		Logins:            []string{"deploy", "root"},
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.Log())
			output, status := newClient(t, tt.key, tt.cert, s).ssh(t, s, tt.login, "pwd")
			if tt.output != "" {
				if status != 0 || !strings.HasSuffix(output, tt.output+"\n") {
					t.Fatalf("got status %d and %q, want %q\n%s", status, output, tt.output, s.Log())
				}
				return
			}
			if status != 255 || !strings.Contains(output, "Permission denied") {
				t.Fatalf("got status %d and %q, want to be refused", status, output)
			}
			eventually(t, func() error {
				if log := s.Log()[before:]; !strings.Contains(log, tt.log) {
					return fmt.Errorf("want the reason %q in the log:\n%s", tt.log, log)
				}
				return nil
			})
		})
	}
}

// TestHostCertificateAsUser presents what OpenSSH's client does not even offer.
func TestHostCertificateAsUser(t *testing.T) {
	_, ca := newKey(t)
	_, signer := newKey(t)
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	for _, kind := range []uint32{ssh.UserCert, ssh.HostCert} {
		cert := userCert(t, ca, signer.PublicKey(), func(c *ssh.Certificate) { c.CertType = kind })
		certSigner, err := ssh.NewCertSigner(cert, signer)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := ssh.Dial("tcp", s.Addr(), &ssh.ClientConfig{
			User:            "deploy",
			Auth:            []ssh.AuthMethod{ssh.PublicKeys(certSigner)},
			HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
		})
		if err == nil {
			_ = conn.Close()
		}
		if in := err == nil; in != (kind == ssh.UserCert) {
			t.Errorf("certificate of type %d: %v", kind, err)
		}
	}
}

func TestAuthorizedPrincipals(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	cert := userCert(t, ca, signer.PublicKey(), func(c *ssh.Certificate) { c.ValidPrincipals = []string{"bot-example"} })
	s := sshdtest.Run(t, sshdtest.Config{
		TrustedUserCAKeys:    authorized(ca.PublicKey()),
		Logins:               []string{"deploy", "bot-example", "other"},
		AuthorizedPrincipals: map[string]string{"deploy": "# who deploys\nbot-example\n", "other": "someone-else"},
	})
	c := newClient(t, key, cert, s)
	if output, status := c.ssh(t, s, "deploy", "echo", "in"); status != 0 || output != "in\n" {
		t.Errorf("deploy: got status %d and %q\n%s", status, output, s.Log())
	}
	// The login that is called like the principal has no file, so it lets nobody in.
	for _, login := range []string{"bot-example", "other", "root"} {
		if output, status := c.ssh(t, s, login, "echo", "in"); status != 255 {
			t.Errorf("%s: got status %d and %q, want to be refused", login, status, output)
		}
	}
}

// TestSSHFolder checks that sshd obeys the files of a folder as those of /etc/ssh, and
// does not if others can write to them.
func TestSSHFolder(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	cert := userCert(t, ca, signer.PublicKey(), nil)
	folder := t.TempDir()
	files := map[string]string{
		"sshd_config.d/a.conf": "TrustedUserCAKeys /etc/ssh/ca\nAuthorizedPrincipalsFile /etc/ssh/principals/%u\n",
		"ca":                   authorized(ca.PublicKey()),
		"principals/app":       "deploy\n",
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	s := sshdtest.Run(t, sshdtest.Config{SSHFolder: folder, Logins: []string{"deploy", "app"}})
	c := newClient(t, key, cert, s)
	if output, status := c.ssh(t, s, "app", "echo", "in"); status != 0 || output != "in\n" {
		t.Errorf("app: got status %d and %q", status, output)
	}
	if output, status := c.ssh(t, s, "deploy", "echo", "in"); status != 255 {
		t.Errorf("deploy, which has no file: got status %d and %q", status, output)
	}
	if os.Getuid() == 0 {
		if err := os.Chmod(filepath.Join(folder, "principals", "app"), 0o666); err != nil {
			t.Fatal(err)
		}
		if output, status := c.ssh(t, s, "app", "echo", "in"); status != 255 {
			t.Errorf("principals that anyone can write: got status %d and %q", status, output)
		}
	}
}

func TestHostCertificate(t *testing.T) {
	_, userCA := newKey(t)
	_, hostCA := newKey(t)
	key, signer := newKey(t)
	hostKey, host := newKey(t)
	hostCert := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"},
		ValidBefore: ssh.CertTimeInfinity}
	if err := hostCert.SignCert(rand.Reader, hostCA); err != nil {
		t.Fatal(err)
	}
	s := sshdtest.Run(t, sshdtest.Config{
		TrustedUserCAKeys: authorized(userCA.PublicKey()),
		Logins:            []string{"deploy"},
		HostKey:           hostKey,
		HostCertificate:   authorized(hostCert),
	})
	if !bytes.Equal(s.HostKey().Marshal(), host.PublicKey().Marshal()) {
		t.Error("HostKey is not the configured key's public part")
	}
	c := newClient(t, key, userCert(t, userCA, signer.PublicKey(), nil), s)
	c.args = []string{"-o", "HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com"}
	c.knownHosts = "@cert-authority * " + authorized(hostCA.PublicKey())
	if output, status := c.ssh(t, s, "deploy", "echo", "in"); status != 0 || output != "in\n" {
		t.Errorf("trusted authority: got status %d and %q", status, output)
	}
	c.knownHosts = "@cert-authority * " + authorized(userCA.PublicKey())
	if output, status := c.ssh(t, s, "deploy", "echo", "in"); status != 255 {
		t.Errorf("another authority: got status %d and %q, want to be refused", status, output)
	}
}

// TestCommands checks what a command gets and gives back.
func TestCommands(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	cert := userCert(t, ca, signer.PublicKey(), nil)
	t.Setenv("SECRET", "of the caller")
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	c := newClient(t, key, cert, s)
	args := append(c.options(t, s), "deploy@127.0.0.1", "--")
	tests := []struct {
		name, stdin, command, output string
		status                       int
	}{
		{"exit status", "", "exit 7", "", 7},
		{"standard error", "", "echo no >&2", "no\n", 0},
		{"standard input", "line\n", "cat", "line\n", 0},
		{"standard input that is not read", "line\n", "true", "", 0},
		{"large output", "", "head -c 3000000 /dev/zero | wc -c; yes | head -c 300000 | tail -c 2", "3000000\ny\n", 0},
		{"the caller's environment", "", `echo "[$SECRET] $USER"`, "[] deploy\n", 0},
		{"a file at home", "", "echo kept > f && cat f", "kept\n", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			output, status := run(t, tt.stdin, "ssh", append(args, tt.command)...)
			if output != tt.output || status != tt.status {
				t.Errorf("got status %d and %q, want %d and %q", status, output, tt.status, tt.output)
			}
		})
	}
	// Nobody is let become root: as root the login has a number of its own.
	if output, _ := c.ssh(t, s, "deploy", "id", "-u"); strings.TrimSpace(output) == "0" {
		t.Error("the login deploy runs as root")
	}
}

func TestSFTP(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	c := newClient(t, key, userCert(t, ca, signer.PublicKey(), nil), s)
	c.write(t, "artefact", "built\n")
	args := append([]string{"-b", "-"}, c.options(t, s)...)
	batch := "put " + filepath.Join(c.folder, "artefact") + " there\n"
	if output, status := run(t, batch, "sftp", append(args, "deploy@127.0.0.1")...); status != 0 {
		t.Fatalf("sftp: status %d: %s", status, output)
	}
	if output, _ := c.ssh(t, s, "deploy", "cat", "there"); output != "built\n" {
		t.Errorf("the file at the server has %q", output)
	}
}

// TestTerminal checks that extension permit-pty decides about terminals.
func TestTerminal(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	for _, permitted := range []bool{true, false} {
		cert := userCert(t, ca, signer.PublicKey(), func(c *ssh.Certificate) {
			if permitted {
				c.Extensions = map[string]string{"permit-pty": ""}
			}
		})
		c := newClient(t, key, cert, s)
		c.args = []string{"-tt"}
		output, _ := c.ssh(t, s, "deploy", "test -t 0 && echo terminal")
		if got := strings.Contains(output, "terminal"); got != permitted {
			t.Errorf("with permit-pty %t: %q", permitted, output)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	_, ca := newKey(t)
	good := sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}}
	tests := []struct {
		name   string
		change func(*sshdtest.Config)
		want   string
	}{
		{"no authority", func(c *sshdtest.Config) { c.TrustedUserCAKeys = "" }, "no TrustedUserCAKeys"},
		{"no login", func(c *sshdtest.Config) { c.Logins = nil }, "no Logins"},
		{"a login that is two fields", func(c *sshdtest.Config) { c.Logins = []string{"a:x:0:0"} }, `login "a:x:0:0"`},
		{"a login that is two lines", func(c *sshdtest.Config) { c.Logins = []string{"a\nb"} }, `login "a\nb"`},
		{"a login that is a path", func(c *sshdtest.Config) { c.Logins = []string{"../a"} }, `login "../a"`},
		{"a login twice", func(c *sshdtest.Config) { c.Logins = []string{"a", "a"} }, "listed twice"},
		{"principals of nobody", func(c *sshdtest.Config) { c.AuthorizedPrincipals = map[string]string{"b": ""} }, `login "b" of AuthorizedPrincipals`},
		{"an authority that is no key", func(c *sshdtest.Config) { c.TrustedUserCAKeys = "deploy\n" }, "TrustedUserCAKeys: "},
		{"a host certificate that is none", func(c *sshdtest.Config) { c.HostCertificate = "AAAA" }, "HostCertificate: "},
		{"a host certificate that is a key", func(c *sshdtest.Config) { c.HostCertificate = c.TrustedUserCAKeys },
			"HostCertificate: give a host certificate"},
	}
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			if s, err := sshdtest.Start(t.Context(), cfg); err == nil {
				_ = s.Close()
				t.Error("Start has no error")
			} else if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start: %v, want %q", err, tt.want)
			}
		})
	}
	if err := temporaries(folder); err != nil {
		t.Error(err)
	}
}

// TestClose checks that closing ends a command that runs, and removes all files.
func TestClose(t *testing.T) {
	_, ca := newKey(t)
	key, signer := newKey(t)
	cert := userCert(t, ca, signer.PublicKey(), nil)
	// t.TempDir is closed to other users, and the login must reach its home.
	folder, err := os.MkdirTemp("", "close-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", folder)
	s := sshdtest.Run(t, sshdtest.Config{TrustedUserCAKeys: authorized(ca.PublicKey()), Logins: []string{"deploy"}})
	c := newClient(t, key, cert, s)
	if output, status := c.ssh(t, s, "deploy", "echo", "in"); status != 0 {
		t.Fatalf("got status %d and %q", status, output)
	}
	ended := make(chan int)
	args := append(c.options(t, s), "deploy@127.0.0.1", "--", "touch started; exec sleep 600")
	go func() {
		_, status := run(t, "", "ssh", args...)
		ended <- status
	}()
	eventually(t, func() error { return exists(folder, "started") })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	select {
	case status := <-ended:
		if status != 255 {
			t.Errorf("the client ended with status %d, want 255: connection lost", status)
		}
	case <-time.After(10 * time.Second):
		t.Error("the client is still connected")
	}
	if err := temporaries(folder); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// exists looks for a file at the home of deploy at the only server below folder.
func exists(folder, name string) error {
	homes, err := filepath.Glob(filepath.Join(folder, "gatepass-sshd-*", "home", "deploy"))
	if err != nil || len(homes) != 1 {
		return os.ErrNotExist
	}
	_, err = os.Stat(filepath.Join(homes[0], name))
	return err
}
