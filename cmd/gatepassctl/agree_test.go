package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/ctl/service"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// agreeRules have a token rule for each way in which a job can be refused.
const agreeRules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy]}, options: {max_session_ttl: 10m}}}
---
{kind: bot, version: v1, metadata: {name: example}, spec: {roles: [deployer]}}
---
{kind: bot, version: v1, metadata: {name: locked}, spec: {roles: [deployer]}}
---
{kind: bot, version: v1, metadata: {name: nothing}, spec: {roles: []}}
---
{kind: bot, version: v1, metadata: {name: half}, spec: {roles: [deployer, missing]}}
---
{kind: lock, version: v2, metadata: {name: stop}, spec: {target: {bot: locked}, message: incident 42}}
---
{kind: lock, version: v2, metadata: {name: over}, spec: {target: {bot: example}, expires: 2020-01-01T00:00:00Z}}
`

// agreeTokens are token rules for Bitbucket, by name: bot, further fields and rules.
var agreeTokens = []struct{ name, expires, bot, rules string }{
	{"plain", "", "example", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "', branch_name: main}]"},
	{"ended", ", expires: 2020-01-01T00:00:00Z", "example", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "'}]"},
	{"denying", "", "example", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "'}], deny: [{branch_name: main}]"},
	{"locked", "", "locked", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "', branch_name: main}]"},
	{"nobody", "", "nobody", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "', branch_name: main}]"},
	{"nothing", "", "nothing", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "', branch_name: main}]"},
	{"half", "", "half", "allow: [{workspace_uuid: '" + issuertest.WorkspaceUUID + "', branch_name: main}]"},
}

// The code of an explanation is the one that the service answers with, whatever and
// however much is wrong.
func TestExplainAgreesWithTheService(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	must(t, err)
	text := agreeRules
	for _, token := range agreeTokens {
		text += "---\n{kind: token, version: v2, metadata: {name: " + token.name + token.expires + "}, spec: {roles: [Bot], join_method: bitbucket, bot_name: " + token.bot +
			", bitbucket: {identity_provider_url: '" + issuer.BitbucketURL() + "', audience: 'ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d', " + token.rules + "}}}\n"
	}
	url, reasons := agreeService(t, issuer, text)
	stranger, err := issuertest.NewStranger(issuertest.FirstKeyID, "RS256")
	must(t, err)
	long := time.Now().Add(-2 * time.Hour).Unix()
	jobs := []struct {
		name    string
		job     issuertest.BitbucketJob
		options []issuertest.Option
	}{
		{"honest", issuertest.BitbucketJob{}, nil},
		{"other branch", issuertest.BitbucketJob{BranchName: "feature/x"}, nil},
		{"other audience", issuertest.BitbucketJob{Audience: []string{"https://aws.example.com"}}, nil},
		{"expired", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithClaim("exp", long)}},
		{"old", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithClaim("iat", long)}},
		{"of tomorrow", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithClaim("nbf", time.Now().Add(24*time.Hour).Unix())}},
		{"no subject", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithoutClaim("sub")}},
		{"no subject and expired", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithoutClaim("sub"), issuertest.WithClaim("exp", long)}},
		{"no step", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithoutClaim("stepUuid")}},
		{"a time that is text", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithClaim("exp", "soon")}},
		{"somebody's signature", issuertest.BitbucketJob{}, []issuertest.Option{stranger.Signs()}},
		{"somebody's signature and no step", issuertest.BitbucketJob{}, []issuertest.Option{stranger.Signs(), issuertest.WithoutClaim("stepUuid")}},
		{"somebody's signature and another audience", issuertest.BitbucketJob{Audience: []string{"x"}}, []issuertest.Option{stranger.Signs()}},
		{"other issuer", issuertest.BitbucketJob{}, []issuertest.Option{issuertest.WithClaim("iss", "https://api.bitbucket.org/x")}},
	}
	codes := map[string]bool{}
	for _, rule := range agreeTokens {
		for _, job := range jobs {
			t.Run(rule.name+", "+job.name, func(t *testing.T) {
				idToken, err := issuer.Bitbucket(job.job, job.options...)
				must(t, err)
				status, answer, err := askToJoin(url, rule.name, idToken)
				must(t, err)
				var problem struct{ Code, Detail string }
				must(t, json.Unmarshal(answer, &problem))
				if status == http.StatusOK {
					problem.Code = "ok"
				}
				e, err := admin.Explain(t.Context(), reasons, admin.Question{
					Token: rule.name, IDToken: idToken, Now: time.Now(), Wishes: []rules.Wish{{Type: "ssh"}},
				})
				must(t, err)
				codes[problem.Code] = true
				if e.Code != problem.Code {
					t.Errorf("explain says %s, and the service %s: %s\n%+v", e.Code, problem.Code, problem.Detail, e.Checks)
				}
			})
		}
	}
	if len(codes) < 12 {
		t.Errorf("only %d codes were seen: %v", len(codes), codes)
	}
}

// agreeService starts a service by rules, with the issuer's keys.
func agreeService(t *testing.T, issuer *issuertest.Issuer, text string) (url string, reasons admin.Reasons) {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	file := filepath.Join(dir, "rules.yaml")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	must(t, beginDirectory(data))
	var out bytes.Buffer
	if code := runIn(t.Context(), []string{"apply", "-f", file, "--data", data}, func(string) string { return "" }, nil, &out, &out); code != cli.ExitDone {
		t.Fatalf("apply: exit code %d\n%s", code, &out)
	}
	server, err := service.Open(t.Context(), service.Config{Data: data, Listen: "127.0.0.1:0", Now: time.Now, Log: ctl.Quiet()})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })

	store, err := sqlite.Open(t.Context(), data, sqlite.Options{MustExist: true})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	keys, err := issuer.JWKS()
	must(t, err)
	for _, url := range []string{issuer.BitbucketURL(), issuer.CircleCIURL()} {
		_, _, err = jwks.Import(t.Context(), store, url, keys, time.Now())
		must(t, err)
	}
	return server.URL(), store
}
