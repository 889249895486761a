// Package revoke tests what ends access: locks, and the lists of what was revoked,
// with the programs that decide by them in production.
package revoke

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestMain(m *testing.M) {
	worldtest.Main(m, func() {
		if started != nil {
			started.Stop()
		}
	})
}

// started is the cloud of all tests, once one has asked for it.
var (
	started   *worldtest.Cloud
	startOnce = sync.OnceValue(func() (err error) {
		started, err = worldtest.StartCloud()
		return err
	})
)

func cloud(t *testing.T) *worldtest.Cloud {
	t.Helper()
	err := startOnce()
	missing := errors.Is(err, awstest.ErrUnavailable)
	if missing && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v; run make tools", err)
	}
	worldtest.Must(t, err)
	return started
}

const rules = `
kind: role
version: v7
metadata: {name: deployer}
spec: {allow: {logins: [deploy], app_names: [grafana], db_users: [app]}}
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [deployer]}
---
kind: bot
version: v1
metadata: {name: other}
spec: {roles: [deployer]}
---
kind: token
version: v2
metadata: {name: example-bot}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket: &bitbucket
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
`

// world is a service, on either store, and what administers it.
type world struct {
	url    string
	ctl    func(t *testing.T, args ...string) *exec.Cmd
	issuer *issuertest.Issuer
}

// local is a service that gatepassctl serve runs.
func local(t *testing.T) *world {
	t.Helper()
	s := worldtest.StartServe(t, filepath.Join(t.TempDir(), "data"))
	w := &world{url: s.URL, ctl: func(t *testing.T, args ...string) *exec.Cmd { return s.CtlCommand(args...) }}
	w.begin(t)
	return w
}

// deployed is a service on AWS.
func deployed(t *testing.T) *world {
	t.Helper()
	stack, err := cloud(t).NewStack(t.Context(), "incident-"+strings.ToLower(rand.Text()))
	worldtest.Must(t, err)
	t.Cleanup(stack.Close)
	worldtest.Must(t, stack.StartService())
	w := &world{url: stack.URL, ctl: func(t *testing.T, args ...string) *exec.Cmd { return stack.CtlCommand(t, args...) }}
	w.begin(t)
	return w
}

// begin has the service know its rules and its issuer's keys.
func (w *world) begin(t *testing.T) {
	t.Helper()
	var err error
	w.issuer, err = issuertest.New(issuertest.Config{Offline: true})
	worldtest.Must(t, err)
	keys, err := w.issuer.JWKS()
	worldtest.Must(t, err)
	dir := t.TempDir()
	w.run(t, "keys", "import", "--issuer", w.issuer.BitbucketURL(), worldtest.Write(t, dir, "jwks.json", string(keys)))
	whole := strings.Replace(rules, "&bitbucket", "", 1)
	at := strings.LastIndex(whole, "---\n")
	second := strings.NewReplacer("example-bot", "other-bot", "bot_name: example", "bot_name: other").Replace(whole[at:])
	w.run(t, "apply", "-f", worldtest.Write(t, dir, "rules.yaml", whole+second))
}

// run runs gatepassctl, which must succeed, and returns its standard output.
func (w *world) run(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := w.ctl(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("gatepassctl %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

// join joins by the client for an output and returns its directory.
func (w *world) join(t *testing.T, rule string, args ...string) string {
	t.Helper()
	idToken, err := w.issuer.Bitbucket(issuertest.BitbucketJob{})
	worldtest.Must(t, err)
	dir := filepath.Join(t.TempDir(), "set")
	cmd := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepass"), append([]string{"join", args[0], "--destination", dir}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "BITBUCKET_BUILD_NUMBER=1", "BITBUCKET_STEP_OIDC_TOKEN="+idToken, "GATEPASS_SERVER="+w.url, "GATEPASS_TOKEN="+rule)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gatepass %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return dir
}

// answer is what one join came to.
type answer struct {
	id   string
	code string // "ok" or that of the refusal
}

// ask joins by a request of its own.
func (w *world) ask(rule string) (answer, error) {
	idToken, err := w.issuer.Bitbucket(issuertest.BitbucketJob{})
	if err != nil {
		return answer{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return answer{}, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return answer{}, err
	}
	body, err := json.Marshal(api.JoinRequest{Token: rule, IDToken: idToken, RetryKey: rand.Text(), Credentials: []api.CredentialRequest{
		{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))},
	}})
	if err != nil {
		return answer{}, err
	}
	resp, err := http.Post(w.url+api.PathJoin, "application/json", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	var said struct {
		JoinID string `json:"join_id"`
		Code   string `json:"code"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return answer{}, err
	}
	if resp.StatusCode == http.StatusOK {
		said.Code = "ok"
	}
	return answer{said.JoinID, said.Code}, nil
}

// script is the path of infra/revoked/fetch-revoked.sh.
func script(t *testing.T) string {
	t.Helper()
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	for _, tool := range []string{"curl", "ssh-keygen", "openssl"} {
		worldtest.Need(t, tool)
	}
	return filepath.Join(root, "infra", "revoked", "fetch-revoked.sh")
}

// fetch runs the script, and returns what it said and whether it succeeded.
func (w *world) fetch(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), script(t), append([]string{w.url}, args...)...).CombinedOutput()
	return string(out), err == nil
}

// until tries what must hold soon.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 s: %s", what)
		}
	}
}
