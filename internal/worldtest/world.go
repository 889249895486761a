package worldtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sshdtest"
)

// World is a join service, on a data directory or on a stack, and an issuer. The service knows
// the issuer's keys, under the CIs' real names.
type World struct {
	URL    string
	Issuer *issuertest.Issuer
	Serve  *Serve // nil on a stack
	Stack  *Stack // nil on a data directory

	tb testing.TB
}

// Local is a service that gatepassctl serve runs on a data directory of its own.
func Local(tb testing.TB) *World {
	tb.Helper()
	return LocalWith(tb, ServeOptions{})
}

// LocalWith is Local with a server of these options.
func LocalWith(tb testing.TB, o ServeOptions) *World {
	tb.Helper()
	return LocalAt(tb, filepath.Join(tb.TempDir(), "data"), o)
}

// LocalAt is LocalWith, on a data directory.
func LocalAt(tb testing.TB, data string, o ServeOptions) *World {
	tb.Helper()
	s := StartServeWith(tb, data, o)
	w := &World{URL: s.URL, Serve: s, tb: tb}
	w.begin()
	return w
}

// Deployed is a service on AWS: a stack of the shared cloud, with the function join.
func Deployed(tb testing.TB) *World {
	tb.Helper()
	w := OnStack(tb)
	Must(tb, w.Stack.StartService())
	return w
}

// OnStack is Deployed, with nothing that answers joins.
func OnStack(tb testing.TB) *World {
	tb.Helper()
	stack, err := SharedCloud(tb).NewStack(tb.Context(), "world-"+strings.ToLower(rand.Text()))
	Must(tb, err)
	tb.Cleanup(stack.Close)
	w := &World{URL: stack.URL, Stack: stack, tb: tb}
	w.begin()
	return w
}

// begin makes the issuer, and has the service know its keys.
func (w *World) begin() {
	w.tb.Helper()
	var err error
	w.Issuer, err = issuertest.New(issuertest.Config{Offline: true})
	Must(w.tb, err)
	keys, err := w.Issuer.JWKS()
	Must(w.tb, err)
	file := Write(w.tb, w.tb.TempDir(), "jwks.json", string(keys))
	for _, name := range []string{w.Issuer.BitbucketURL(), w.Issuer.CircleCIURL()} {
		w.Ctl("keys", "import", "--yes", "--issuer", name, file)
	}
}

// CtlCommand is gatepassctl on the service, to be run.
func (w *World) CtlCommand(args ...string) *exec.Cmd {
	w.tb.Helper()
	if w.Stack != nil {
		return w.Stack.CtlCommand(w.tb, args...)
	}
	return w.Serve.CtlCommand(args...)
}

// Ctl runs gatepassctl on the service; it must succeed. It returns standard output.
func (w *World) Ctl(args ...string) string {
	w.tb.Helper()
	return Run(w.tb, w.CtlCommand(args...)).OK(w.tb)
}

// Apply stores rules. Flags are further ones of gatepassctl apply.
func (w *World) Apply(rules string, flags ...string) {
	w.tb.Helper()
	file := Write(w.tb, w.tb.TempDir(), "rules.yaml", rules)
	w.Ctl(append([]string{"apply", "-f", file}, flags...)...)
}

// Step is the environment of a new step of Bitbucket Pipelines, with an ID token of its own,
// that joins by a token rule.
func (w *World) Step(rule string) []string {
	w.tb.Helper()
	idToken, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
	Must(w.tb, err)
	return []string{"GATEPASS_SERVER=" + w.URL, "GATEPASS_TOKEN=" + rule, "BITBUCKET_BUILD_NUMBER=1", "BITBUCKET_STEP_OIDC_TOKEN=" + idToken}
}

// Gatepass is the client in a new step, to be run. It is killed after two minutes.
func (w *World) Gatepass(tb testing.TB, rule string, args ...string) *exec.Cmd {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	tb.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, Binary(tb, "gatepass"), args...)
	cmd.Env = append(clean(), w.Step(rule)...)
	return cmd
}

// Join joins in a new step for an output, such as "database", with its flags. It must succeed,
// and returns the directory that it was written to.
func (w *World) Join(tb testing.TB, rule, output string, flags ...string) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "set")
	Run(tb, w.Gatepass(tb, rule, append([]string{"join", output, "--destination", dir}, flags...)...)).OK(tb)
	return dir
}

// SSHD starts an SSH server that trusts the service's authority, with the account deploy and,
// unless principals is empty, a host certificate of the service for them.
func (w *World) SSHD(tb testing.TB, principals string) *sshdtest.Server {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	Must(tb, err)
	if principals == "" {
		return w.SSHDWith(tb, key, "")
	}
	public, err := ssh.NewPublicKey(key.Public())
	Must(tb, err)
	file := Write(tb, tb.TempDir(), "host.pub", string(ssh.MarshalAuthorizedKey(public)))
	return w.SSHDWith(tb, key, w.Ctl("host", "sign", "--principals", principals, file))
}

// SSHDWith is SSHD with a host key and a certificate from elsewhere.
func (w *World) SSHDWith(tb testing.TB, key ed25519.PrivateKey, certificate string) *sshdtest.Server {
	tb.Helper()
	return sshdtest.Run(tb, sshdtest.Config{
		TrustedUserCAKeys: w.Ctl("ca", "export", "--type", "ssh-user"), Logins: []string{"deploy"},
		HostKey: key, HostCertificate: certificate,
	})
}
