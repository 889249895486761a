// Package revoke tests what ends access: locks, and the lists of what was revoked,
// with the programs that decide by them in production.
package revoke

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

const rules = `
kind: role
version: v7
metadata: {name: deployer}
spec: {allow: {logins: [deploy], app_names: [grafana], db_users: [app], jwt_audiences: ["https://vault.example.com"]}}
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

// world is a service, on either store, with the rules above for two bots.
type world struct{ *worldtest.World }

// local is a service that gatepassctl serve runs.
func local(t *testing.T) *world {
	t.Helper()
	return begin(worldtest.Local(t))
}

// deployed is a service on AWS.
func deployed(t *testing.T) *world {
	t.Helper()
	return begin(worldtest.Deployed(t))
}

func begin(w *worldtest.World) *world {
	whole := strings.Replace(rules, "&bitbucket", "", 1)
	at := strings.LastIndex(whole, "---\n")
	w.Apply(whole + strings.NewReplacer("example-bot", "other-bot", "bot_name: example", "bot_name: other").Replace(whole[at:]))
	return &world{w}
}

// answer is what one join came to.
type answer struct {
	id   string
	code string // "ok" or that of the refusal
}

// ask joins by a request of its own.
func (w *world) ask(rule string) (answer, error) {
	idToken, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{})
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
	resp, err := http.Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
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
	out, err := exec.CommandContext(t.Context(), script(t), append([]string{w.URL}, args...)...).CombinedOutput()
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
