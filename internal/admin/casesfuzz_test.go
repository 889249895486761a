package admin_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const fuzzRules = `
{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: [deploy]}, options: {max_session_ttl: 10m}}}
---
{kind: bot, version: v1, metadata: {name: example}, spec: {roles: [deployer]}}
---
kind: token
version: v2
metadata: {name: t}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: https://join.example.com
    allow: [{workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}", branch_name: main}]
`

// FuzzCases reads whatever may be in a file of cases: each error names the file and a
// line, and what is taken can be run, with a verdict for every case.
func FuzzCases(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzCases"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	docs, _, err := rules.Parse("rules.yaml", []byte(fuzzRules))
	if err != nil {
		f.Fatal(err)
	}
	static, err := admin.NewStatic([]rules.Resource{docs[0].Resource, docs[1].Resource, docs[2].Resource})
	if err != nil {
		f.Fatal(err)
	}
	config := admin.CaseConfig{Reasons: static, Now: time.Unix(1767225600, 0), ReadFile: func(string) ([]byte, error) { return []byte("{}"), nil }}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := admin.ParseCases("cases.yaml", data)
		if err != nil {
			found, ok := errors.AsType[rules.Errors](err)
			if !ok || len(found) == 0 || found[0].Line < 1 || found[0].Message == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		results, err := config.Run(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Got == "" || r.Passed() != (len(r.Problems) == 0) || r.Name != file.Cases[i].Name || r.Got != r.Want && r.Passed() {
				t.Errorf("%+v", r)
			}
		}
	})
}
