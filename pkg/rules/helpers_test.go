package rules_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const botYAML = `kind: bot
version: v1
metadata: {name: example, description: deploys the shop, labels: {team: shop}}
spec:
  roles: [deployer]
  traits:
    - name: logins
      values: [deploy]
  max_session_ttl: 1h
`

const bitbucketYAML = `kind: token
version: v2
metadata: {name: example-bot, expires: "2100-01-01T00:00:00Z"}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  max_joins: 1
  max_token_age: 1h
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: https://join.example.com
    enable_glob_matching: false
    allow:
      - workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"
        repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"
        branch_name: main
    deny:
      - branch_name: legacy
`

const circleYAML = `kind: token
version: v2
metadata: {name: circle-bot, expires: "2100-01-01T00:00:00Z"}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  bind: required
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    audience: https://join.example.com
    issuer: https://oidc.circleci.com
    allow:
      - context_id: 00000000-0000-0000-0000-000000000002
        project_id: 00000000-0000-0000-0000-000000000003
        pipeline_definition_id: 00000000-0000-0000-0000-000000000004
        vcs_origin: github.com/acme/shop
        vcs_ref: refs/heads/main
    deny:
      - vcs_ref: refs/heads/legacy
`

const roleYAML = `kind: role
version: v7
metadata: {name: deployer}
spec:
  allow:
    logins: [deploy, "{{internal.logins}}"]
    db_users: [app]
    db_names: [orders]
    kubernetes_users: [ci]
    kubernetes_groups: [deployers]
    app_names: [grafana]
    jwt_audiences: ["https://vault.example.com"]
  deny:
    logins: [admin]
  options:
    max_session_ttl: 30m
    permit_pty: true
    cert_extensions:
      - {type: ssh, mode: extension, name: login@github.com, value: octo-bot}
`

const lockYAML = `kind: lock
version: v2
metadata: {name: stop-example}
spec:
  target: {bot: example}
  message: incident 42
  expires: 2100-01-01T00:00:00Z
`

const labelledYAML = `kind: role
version: v7
metadata: {name: staging}
spec:
  allow:
    logins: [deploy]
    node_labels: {tier: web, env: [staging, qa]}
`

const everything = botYAML + "---\n" + bitbucketYAML + "---\n" + circleYAML + "---\n" + roleYAML + "---\n" + labelledYAML + "---\n" + lockYAML

// edit replaces the one place of old in a document. No document holds what is not in it.
func edit(t testing.TB, document, old, new string) string {
	t.Helper()
	if strings.Count(document, old) != 1 {
		t.Fatalf("%q is in the document %d times, want once", old, strings.Count(document, old))
	}
	return strings.Replace(document, old, new, 1)
}

func parse(t testing.TB, document string) []rules.Resource {
	t.Helper()
	docs, warnings, err := rules.Parse("test.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Errorf("unexpected warning: %s", w)
	}
	var all []rules.Resource
	for _, d := range docs {
		all = append(all, d.Resource)
	}
	return all
}

// parseOne parses a document that holds one T.
func parseOne[T rules.Resource](t testing.TB, document string) T {
	t.Helper()
	all := parse(t, document)
	if len(all) != 1 {
		t.Fatalf("%d resources, want one", len(all))
	}
	one, ok := all[0].(T)
	if !ok {
		t.Fatalf("a %s, want another kind", all[0].Kind())
	}
	return one
}

// requireSeeds fails unless a fuzz target has seeds in testdata: seeds that moved
// away would leave the target running on nothing.
func requireSeeds(t testing.TB, target string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
	if err != nil || len(files) == 0 {
		t.Fatalf("no seeds of %s: %v", target, err)
	}
}

// numbered returns prefix0, prefix1, … as the inside of a YAML list.
func numbered(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d,", prefix, i)
	}
	return b.String()
}

// values are names with their values.
func values(pairs ...string) provider.Values {
	v := provider.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v = append(v, provider.Named{Name: pairs[i], Value: pairs[i+1]})
	}
	return v
}
