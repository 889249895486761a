package test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// world is a service, and hosts that trust it, for the commands that log in.
type world struct {
	serve  *worldtest.Serve
	issuer *issuertest.Issuer
	rules  string // what is applied
	home   string // of the job
	memory string // where exec has its private folders; empty when nothing runs

	host  *sshdtest.Server // has a certificate of the host authority for 127.0.0.1
	plain *sshdtest.Server // has none
}

// newWorld lets roles forward ports, as a jump host needs.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{home: t.TempDir()}
	w.serve, w.issuer = realNames(t)
	w.rules = strings.Replace(rules, "---\nkind: bot", "  options: {port_forwarding: true, permit_pty: true}\n---\nkind: bot", 1)
	w.apply(t, w.rules)

	memory, err := os.MkdirTemp("/dev/shm", "gatepass-test-")
	if err != nil { // no tmpfs there: the folders are among the temporary files
		memory, err = os.MkdirTemp("", "gatepass-test-")
	}
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	w.memory = memory

	w.host = w.sshd(t, "127.0.0.1,localhost")
	w.plain = w.sshd(t, "")
	return w
}

func (w *world) apply(t *testing.T, rules string) {
	t.Helper()
	w.serve.Ctl("apply", "-f", write(t, t.TempDir(), "rules.yaml", rules))
}

// sshd starts a server with a certificate of the service for the principals, or without one.
func (w *world) sshd(t *testing.T, principals string) *sshdtest.Server {
	t.Helper()
	key := newSSHKey(t)
	certificate := ""
	if principals != "" {
		public, err := ssh.NewPublicKey(key.Public())
		must(t, err)
		file := write(t, t.TempDir(), "host.pub", string(ssh.MarshalAuthorizedKey(public)))
		certificate = w.serve.Ctl("host", "sign", "--principals", principals, file)
	}
	return w.sshdWith(t, key, certificate)
}

// sshdOf starts a server with a certificate of an authority that nobody trusts.
func (w *world) sshdOf(t *testing.T, principal string, authority ed25519.PrivateKey) *sshdtest.Server {
	t.Helper()
	key := newSSHKey(t)
	public, err := ssh.NewPublicKey(key.Public())
	must(t, err)
	signer, err := ssh.NewSignerFromKey(authority)
	must(t, err)
	cert := &ssh.Certificate{
		Key: public, CertType: ssh.HostCert, ValidPrincipals: []string{principal},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	must(t, cert.SignCert(rand.Reader, signer))
	return w.sshdWith(t, key, string(ssh.MarshalAuthorizedKey(cert)))
}

func (w *world) sshdWith(t *testing.T, key ed25519.PrivateKey, certificate string) *sshdtest.Server {
	t.Helper()
	return sshdtest.Run(t, sshdtest.Config{
		TrustedUserCAKeys: w.serve.Ctl("ca", "export", "--type", "ssh-user"),
		Logins:            []string{"deploy"},
		HostKey:           key,
		HostCertificate:   certificate,
	})
}

func newSSHKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return key
}

func port(t *testing.T, s *sshdtest.Server) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr())
	must(t, err)
	return port
}

// environ is a job's: with an ID token of its own, and nothing of the machine's agents.
func (w *world) environ(t *testing.T) []string {
	t.Helper()
	token, err := w.issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	other := rand.Text() // nobody else's, also where this test runs twice at a time
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + w.memory, "XDG_RUNTIME_DIR=" + w.memory, "LC_ALL=C",
		"GATEPASS_SERVER=" + w.serve.URL, "GATEPASS_TOKEN=bitbucket",
		"BITBUCKET_BUILD_NUMBER=1", "BITBUCKET_STEP_OIDC_TOKEN=" + token, "CIRCLE_OIDC_TOKEN=v1-" + other, "CIRCLE_OIDC_TOKEN_V2=v2-" + other,
		"HOST_PORT=" + port(t, w.host), "PLAIN_PORT=" + port(t, w.plain),
	}
}

// command is gatepass in a new job.
func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(within(t, 2*time.Minute), binary(t, "gatepass"), args...)
	cmd.Env = w.environ(t)
	cmd.Dir = w.home
	cmd.WaitDelay = time.Second
	return cmd
}

// ran is how a command ended.
type ran struct {
	status         int
	stdout, stderr string
}

func (w *world) run(t *testing.T, args ...string) ran {
	t.Helper()
	return finish(t, w.command(t, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// ok fails the test unless the command succeeded; it returns stdout.
func (r ran) ok(t *testing.T) string {
	t.Helper()
	if r.status != 0 {
		t.Fatalf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	return r.stdout
}

// failed fails the test unless the command ended with the status and says the words on stderr.
func (r ran) failed(t *testing.T, status int, words ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d\n%s%s", r.status, status, r.stdout, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("stderr lacks %q:\n%s", word, r.stderr)
		}
	}
}

// nothingLeft checks that no private folder remains, waiting a little for one
// that a janitor is about to remove.
func (w *world) nothingLeft(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		left, err = filepath.Glob(filepath.Join(w.memory, "*"))
		must(t, err)
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %v", left)
}

// silent is an address where connections are taken and nothing is said.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}
