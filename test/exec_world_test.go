package test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// world is a service, and hosts that trust it, for the commands that log in.
type world struct {
	*worldtest.World
	rules  string // what is applied
	home   string // of the job
	memory string // where exec has its private folders; empty when nothing runs

	host  *sshdtest.Server // has a certificate of the host authority for 127.0.0.1
	plain *sshdtest.Server // has none
}

// newLoginWorld lets roles forward ports, as a jump host needs.
func newLoginWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: worldtest.Local(t), home: t.TempDir()}
	w.rules = strings.Replace(rules, "---\nkind: bot", "  options: {port_forwarding: true, permit_pty: true}\n---\nkind: bot", 1)
	w.Apply(w.rules)

	memory, err := os.MkdirTemp("/dev/shm", "gatepass-test-")
	if err != nil { // no tmpfs there: the folders are among the temporary files
		memory, err = os.MkdirTemp("", "gatepass-test-")
	}
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	w.memory = memory

	w.host = w.SSHD(t, "127.0.0.1,localhost")
	w.plain = w.SSHD(t, "")
	return w
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
	return w.SSHDWith(t, key, string(ssh.MarshalAuthorizedKey(cert)))
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
	other := rand.Text() // nobody else's, also where this test runs twice at a time
	return append(w.Step("bitbucket"),
		"PATH="+os.Getenv("PATH"), "HOME="+w.home, "TMPDIR="+w.memory, "XDG_RUNTIME_DIR="+w.memory, "LC_ALL=C",
		"CIRCLE_OIDC_TOKEN=v1-"+other, "CIRCLE_OIDC_TOKEN_V2=v2-"+other,
		"HOST_PORT="+port(t, w.host), "PLAIN_PORT="+port(t, w.plain))
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

func (w *world) run(t *testing.T, args ...string) worldtest.Ran {
	t.Helper()
	return worldtest.Run(t, w.command(t, args...))
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
