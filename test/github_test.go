package test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

const githubRules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy]}}}
---
{kind: bot, version: v1, metadata: {name: shop}, spec: {roles: [deployer]}}
---
kind: token
version: v2
metadata: {name: shop}
spec:
  roles: [Bot]
  join_method: github
  bot_name: shop
  bind: required
  github:
    audience: https://join.example.com
    allow:
      - {repository: acme/shop}
    deny:
      - {ref: refs/heads/legacy}
`

// A job of GitHub Actions asks its runner for a token and joins with it, and a pull
// request of the same repository is refused by a rule that names only that.
func TestGitHubJobsJoin(t *testing.T) {
	w := worldtest.Local(t)
	keys, err := w.Issuer.JWKS()
	worldtest.Must(t, err)
	w.Ctl("keys", "import", "--yes", "--issuer", issuertest.GitHubURL, worldtest.Write(t, t.TempDir(), "jwks.json", string(keys)))
	w.Apply(githubRules)
	for _, tt := range []struct {
		name   string
		job    issuertest.GitHubJob
		status int
		says   []string
	}{
		{"a push", issuertest.GitHubJob{}, 0, nil},
		{"an environment", issuertest.GitHubJob{Environment: "production", Event: "workflow_dispatch"}, 0, nil},
		{"another repository", issuertest.GitHubJob{Repository: "mallory/shop", Owner: "mallory"}, 3, []string{"no_rule_matched", "repository"}},
		{"a pull request", issuertest.GitHubJob{Event: "pull_request", Ref: "refs/pull/7/merge", Head: "fix", Base: "main"}, 3, []string{"no_rule_matched", "event_name"}},
		{"a pull request with an environment", issuertest.GitHubJob{Event: "pull_request", Ref: "refs/pull/7/merge", Environment: "production"}, 3, []string{"event_name"}},
		{"a pull request that runs the base's workflow", issuertest.GitHubJob{Event: "pull_request_target", Head: "fix", Base: "main"}, 3, []string{"event_name"}},
		{"a comment that anybody may write", issuertest.GitHubJob{Event: "issue_comment"}, 3, []string{"no_rule_matched", "event_name"}},
		{"a denied branch", issuertest.GitHubJob{Ref: "refs/heads/legacy"}, 3, []string{"denied_by_rule"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runner := githubRunner(t, w.Issuer, tt.job)
			dir := filepath.Join(t.TempDir(), "set")
			cmd := exec.CommandContext(t.Context(), worldtest.Binary(t, "gatepass"), "join", "--destination", dir)
			cmd.Env = append(os.Environ(), "GATEPASS_SERVER="+w.URL, "GATEPASS_TOKEN=shop", "GATEPASS_AUDIENCE=https://join.example.com",
				"GITHUB_ACTIONS=true", "ACTIONS_ID_TOKEN_REQUEST_URL="+runner.URL+"/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner secret")
			ran := worldtest.Run(t, cmd)
			if tt.status != 0 {
				ran.Failed(t, tt.status, tt.says...)
				return
			}
			ran.OK(t)
			if _, err := os.Stat(filepath.Join(dir, "key-cert.pub")); err != nil {
				t.Error(err)
			}
		})
	}
}

// githubRunner is the service of a runner that mints ID tokens.
func githubRunner(t *testing.T, issuer *issuertest.Issuer, job issuertest.GitHubJob) *httptest.Server {
	t.Helper()
	runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer runner secret" || r.FormValue("api-version") != "2.0" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		job.Audience = r.FormValue("audience")
		idToken, err := issuer.GitHub(job)
		if err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(map[string]any{"count": 1, "value": idToken})
	}))
	t.Cleanup(runner.Close)
	return runner
}
