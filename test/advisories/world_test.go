package advisories

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

// wanted is a value of the rule that nobody is to learn.
const wanted = "release/hidden-9317"

const rules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy], jwt_audiences: ["https://vault.example.com"]}}}
---
{kind: bot, version: v1, metadata: {name: example}, spec: {roles: [deployer]}}
---
kind: token
version: v2
metadata: {name: bitbucket}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: ISSUER
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow:
      - {repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}", branch_name: main}
      - {repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}", branch_name: ` + wanted + `}
`

// realRules are the rules with the issuer's real name.
var realRules = strings.ReplaceAll(rules, "ISSUER", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc")

// world is gatepassctl serve, whose one rule names an issuer that serves on loopback.
type world struct {
	*worldtest.Serve
	issuer *issuertest.Issuer
	env    []string // by which commands reach the issuer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	issuer, err := issuertest.New(issuertest.Config{})
	worldtest.Must(t, err)
	t.Cleanup(func() { _ = issuer.Close() })
	dir := t.TempDir()
	env := []string{"GATEPASS_PRIVATE_ISSUERS=" + issuer.Host(), "GATEPASS_ISSUER_CA=" + worldtest.Write(t, dir, "ca.pem", string(issuer.CA()))}
	s := worldtest.StartServe(t, dir+"/data", env...)
	s.Ctl("apply", "-f", worldtest.Write(t, dir, "rules.yaml", strings.ReplaceAll(rules, "ISSUER", issuer.BitbucketURL())))
	return &world{s, issuer, env}
}

// mint is an ID token of the issuer.
func (w *world) mint(t *testing.T, job issuertest.BitbucketJob, options ...issuertest.Option) string {
	t.Helper()
	minted, err := w.issuer.Bitbucket(job, options...)
	worldtest.Must(t, err)
	return minted
}

// join joins with an ID token and returns what was answered.
func (w *world) join(t *testing.T, idToken string) worldtest.Answer {
	t.Helper()
	body, err := worldtest.SSHRequest("bitbucket", idToken)
	worldtest.Must(t, err)
	a, err := worldtest.SendJoin(t.Context(), http.DefaultClient, w.URL, body)
	worldtest.Must(t, err)
	return a
}

// honest is a join that must succeed.
func (w *world) honest(t *testing.T) {
	t.Helper()
	if a := w.join(t, w.mint(t, issuertest.BitbucketJob{})); a.Serial == "" {
		t.Errorf("an honest job is answered with %d %s", a.Status, a.Content)
	}
}

// refused is a join that must be refused by this code.
func (w *world) refused(t *testing.T, idToken string, code api.Code) worldtest.Answer {
	t.Helper()
	a := w.join(t, idToken)
	if a.Code != code {
		t.Errorf("answered with %d %s %s, want %s", a.Status, a.Code, a.Content, code)
	}
	return a
}

// send sends any request to the server.
func (w *world) send(t *testing.T, method, path, body string, header ...string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.URL, bytes.NewReader([]byte(body)))
	worldtest.Must(t, err)
	req.URL.Path, req.URL.RawPath = path, (&url.URL{Path: path}).EscapedPath()
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := http.DefaultClient.Do(req)
	worldtest.Must(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	worldtest.Must(t, err)
	return resp.StatusCode, string(answer)
}
