package rules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestParseReadsEveryKind(t *testing.T) {
	got := parse(t, everything)
	want := []rules.Resource{
		&rules.Bot{
			Metadata:      rules.Metadata{Name: "example", Description: "deploys the shop", Labels: map[string]string{"team": "shop"}},
			Roles:         []string{"deployer"},
			Traits:        []rules.Trait{{Name: "logins", Values: []string{"deploy"}}},
			MaxSessionTTL: time.Hour,
		},
		&rules.TokenRule{
			Metadata:    rules.Metadata{Name: "example-bot", Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
			Roles:       []string{"Bot"},
			JoinMethod:  "bitbucket",
			BotName:     "example",
			MaxJoins:    1,
			MaxTokenAge: time.Hour,
			Sections: rules.Sections{"bitbucket": {
				Settings: values(
					"identity_provider_url", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
					"audience", "https://join.example.com",
				),
				Allow: []provider.Values{values(
					"workspace_uuid", "{922e118c-f34f-4226-a897-0e0afbec553d}",
					"repository_uuid", "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}",
					"branch_name", "main",
				)},
				Deny: []provider.Values{values("branch_name", "legacy")},
			}},
		},
		&rules.TokenRule{
			Metadata:    rules.Metadata{Name: "circle-bot", Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
			Roles:       []string{"Bot"},
			JoinMethod:  "circleci",
			BotName:     "example",
			MaxJoins:    1,
			MaxTokenAge: time.Hour,
			Bind:        rules.BindRequired,
			Sections: rules.Sections{"circleci": {
				Settings: values(
					"organization_id", "00000000-0000-0000-0000-000000000001",
					"audience", "https://join.example.com",
					"issuer", "https://oidc.circleci.com",
				),
				Allow: []provider.Values{values(
					"context_id", "00000000-0000-0000-0000-000000000002",
					"project_id", "00000000-0000-0000-0000-000000000003",
					"pipeline_definition_id", "00000000-0000-0000-0000-000000000004",
					"vcs_origin", "github.com/acme/shop",
					"vcs_ref", "refs/heads/main",
				)},
				Deny: []provider.Values{values("vcs_ref", "refs/heads/legacy")},
			}},
		},
		&rules.Role{
			Metadata: rules.Metadata{Name: "deployer"},
			Version:  "v7",
			Allow: rules.Conditions{
				Logins:           []string{"deploy", "{{internal.logins}}"},
				DBUsers:          []string{"app"},
				DBNames:          []string{"orders"},
				KubernetesUsers:  []string{"ci"},
				KubernetesGroups: []string{"deployers"},
				AppNames:         []string{"grafana"},
				JWTAudiences:     []string{"https://vault.example.com"},
			},
			Deny: rules.Conditions{Logins: []string{"admin"}},
			Options: rules.Options{
				MaxSessionTTL:  30 * time.Minute,
				PermitPTY:      true,
				CertExtensions: []rules.CertExtension{{Type: "ssh", Mode: "extension", Name: "login@github.com", Value: "octo-bot"}},
			},
		},
		&rules.Role{
			Metadata: rules.Metadata{Name: "staging"},
			Version:  "v7",
			Allow:    rules.Conditions{Logins: []string{"deploy"}, NodeLabels: map[string][]string{"env": {"staging", "qa"}, "tier": {"web"}}},
		},
		&rules.Lock{
			Metadata: rules.Metadata{Name: "stop-example"},
			Target:   rules.Target{Bot: "example"},
			Message:  "incident 42",
			Expires:  time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseReadsEveryFlag(t *testing.T) {
	token := parseOne[*rules.TokenRule](t, edit(t, circleYAML, "    allow:\n", "    enable_glob_matching: true\n    allow_ssh_rerun: true\n    allow_forks: true\n    allow:\n"))
	if c := token.Section(); !c.Is("enable_glob_matching") || !c.Is("allow_ssh_rerun") || !c.Is("allow_forks") {
		t.Errorf("flags of CircleCI: %+v", c)
	}
	if token := parseOne[*rules.TokenRule](t, edit(t, bitbucketYAML, "matching: false", "matching: true")); !token.Section().Is("enable_glob_matching") {
		t.Error("enable_glob_matching of Bitbucket is lost")
	}
	role := parseOne[*rules.Role](t, edit(t, roleYAML, "    permit_pty: true\n", `    permit_pty: true
    port_forwarding: True
    agent_forwarding: TRUE
    x11_forwarding: true
    pin_source_ip: true
    force_command: /usr/bin/deploy "now"
`))
	want := rules.Options{
		MaxSessionTTL: 30 * time.Minute, PermitPTY: true, PortForwarding: true, AgentForwarding: true, X11Forwarding: true,
		PinSourceIP: true, ForceCommand: `/usr/bin/deploy "now"`, CertExtensions: role.Options.CertExtensions,
	}
	if diff := cmp.Diff(want, role.Options); diff != "" {
		t.Errorf("options of a role, -want +got:\n%s", diff)
	}
	lock := parseOne[*rules.Lock](t, edit(t, lockYAML, "{bot: example}", "{all: true}"))
	if lock.Target != (rules.Target{All: true}) {
		t.Errorf("target %+v, want all", lock.Target)
	}
}

func TestParseBringsValuesIntoOneForm(t *testing.T) {
	for _, id := range []string{
		"922e118c-f34f-4226-a897-0e0afbec553d", `"{922e118c-f34f-4226-a897-0e0afbec553d}"`,
		"922E118C-F34F-4226-A897-0E0AFBEC553D", `"{922E118C-f34f-4226-a897-0e0afbec553d}"`,
	} {
		token := parseOne[*rules.TokenRule](t, edit(t, bitbucketYAML, `"{922e118c-f34f-4226-a897-0e0afbec553d}"`, id))
		if got := token.Section().Allow[0].Get("workspace_uuid"); got != "{922e118c-f34f-4226-a897-0e0afbec553d}" {
			t.Errorf("workspace %s became %s", id, got)
		}
		token = parseOne[*rules.TokenRule](t, edit(t, circleYAML, "00000000-0000-0000-0000-000000000003", id))
		if got := token.Section().Allow[0].Get("project_id"); got != "922e118c-f34f-4226-a897-0e0afbec553d" {
			t.Errorf("project %s became %s", id, got)
		}
	}
	role := parseOne[*rules.Role](t, edit(t, roleYAML, "{{internal.logins}}", "{{ external.logins }}"))
	if got := role.Allow.Logins[1]; got != "{{external.logins}}" {
		t.Errorf("template became %s", got)
	}
	token := parseOne[*rules.TokenRule](t, edit(t, bitbucketYAML, `"2100-01-01T00:00:00Z"`, "2100-01-01T02:00:00+02:00"))
	if want := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC); !token.Metadata.Expires.Equal(want) || token.Metadata.Expires.Location() != time.UTC {
		t.Errorf("expires %s, want %s", token.Metadata.Expires, want)
	}
}

func TestDefaults(t *testing.T) {
	document := edit(t, edit(t, bitbucketYAML, "  max_joins: 1\n", ""), "  max_token_age: 1h\n", "")
	token := parseOne[*rules.TokenRule](t, document)
	if token.MaxJoins != 1 || token.MaxTokenAge != time.Hour {
		t.Errorf("max_joins %d and max_token_age %s, want 1 and 1h", token.MaxJoins, token.MaxTokenAge)
	}
	if token = parseOne[*rules.TokenRule](t, edit(t, circleYAML, "bind: required", "bind: optional")); token.Bind != "" {
		t.Errorf("bind: optional is kept as %q: the same rule would have two forms", token.Bind)
	}
	token = parseOne[*rules.TokenRule](t, edit(t, edit(t, circleYAML, "    audience: https://join.example.com\n", ""), "    issuer: https://oidc.circleci.com\n", ""))
	if got, want := token.Issuer(), "https://oidc.circleci.com/org/00000000-0000-0000-0000-000000000001"; got != want {
		t.Errorf("issuer %s, want %s", got, want)
	}
	if got, want := token.Audience(), "00000000-0000-0000-0000-000000000001"; got != want {
		t.Errorf("audience %s, want %s", got, want)
	}
	if token.Section().Get("audience") != "" || token.Section().Get("issuer") != "" {
		t.Error("defaults were written into the token")
	}
	if token = parseOne[*rules.TokenRule](t, circleYAML); token.Issuer() != "https://oidc.circleci.com" || token.Audience() != "https://join.example.com" {
		t.Errorf("issuer %s and audience %s are not as written", token.Issuer(), token.Audience())
	}
	if token = parseOne[*rules.TokenRule](t, bitbucketYAML); token.Issuer() != token.Section().Get("identity_provider_url") || token.Audience() != "https://join.example.com" {
		t.Errorf("issuer %s and audience %s are not as written", token.Issuer(), token.Audience())
	}
}

// What two readers could take differently, or a person overlook, is refused.
func TestParseIsStrict(t *testing.T) {
	deep := strings.Repeat("[", 20) + strings.Repeat("]", 20)
	tests := []struct{ name, document, want string }{
		{"unknown field", edit(t, botYAML, "  max_session_ttl", "  max_session_tll"), "test.yaml:9: spec.max_session_tll: is not a field here; did you mean max_session_ttl?"},
		{"unknown field like no other", edit(t, botYAML, "  max_session_ttl", "  xyz"), "test.yaml:9: spec.xyz: is not a field here; remove it"},
		{"unknown field of the document", botYAML + "extra: 1\n", "test.yaml:10: extra: is not a field here; remove it"},
		{"field in capitals", edit(t, botYAML, "  roles", "  Roles"), "test.yaml:5: spec.Roles: is not a field here; did you mean roles?"},
		{"field twice", edit(t, botYAML, "  max_session_ttl: 1h", "  max_session_ttl: 1h\n  max_session_ttl: 2h"), "test.yaml:10: spec.max_session_ttl: is there twice, first on line 9; remove one"},
		{"label twice", edit(t, botYAML, "{team: shop}", "{team: shop, team: other}"), "test.yaml:3: metadata.labels.team: is there twice, first on line 3; remove one"},
		{"anchor", edit(t, botYAML, "[deployer]", "&r [deployer]"), "test.yaml:5: spec.roles: has an anchor (&r); remove it, and write the value wherever it is wanted"},
		{"alias", edit(t, botYAML, "[deployer]", "*r"), "test.yaml:1: is not YAML: unknown anchor 'r' referenced"},
		{"anchor of a key", edit(t, botYAML, "  roles:", "  &k roles:"), "test.yaml:5: spec: has a key that is not a plain string"},
		{"merge key", edit(t, botYAML, "  roles:", "  <<: {max_session_ttl: 1h}\n  roles:"), "test.yaml:5: spec: has a merge key (<<); write the fields themselves"},
		{"tag", edit(t, botYAML, "[deployer]", "[!!str deployer]"), "test.yaml:5: spec.roles[0]: has a tag (!!str); remove it"},
		{"custom tag", edit(t, botYAML, "[deployer]", "!roles [deployer]"), "test.yaml:5: spec.roles: has a tag (!roles); remove it"},
		{"binary", edit(t, botYAML, "[deployer]", "[!!binary ZGVwbG95ZXI=]"), "test.yaml:5: spec.roles[0]: has a tag (!!binary); remove it"},
		{"key that is a list", edit(t, botYAML, "  roles:", "  ? [a]\n  : b\n  roles:"), "test.yaml:5: spec: has a key that is not a plain string"},
		{"nested too deep", edit(t, botYAML, "[deployer]", deep), "test.yaml:5: spec.roles" + strings.Repeat("[0]", 15) + ": is nested deeper than 16"},
		{"boolean for a string", edit(t, botYAML, "[deployer]", "[true]"), `test.yaml:5: spec.roles[0]: is the boolean true, and a string is wanted; write "true", with the quotes`},
		{"object for a string", edit(t, botYAML, "[deployer]", "[{a: b}]"), "test.yaml:5: spec.roles[0]: is a set of fields; write one value"},
		{"string for an object", edit(t, lockYAML, "{bot: example}", "example"), `test.yaml:5: spec.target: is the string "example"; write fields, one to a line, as NAME: VALUE`},
		{"no document but a list", "- a\n- b\n", "test.yaml:1: is a list; write fields, one to a line, as NAME: VALUE"},
		{"no document but text", "hello", `test.yaml:1: is the string "hello"; write fields, one to a line, as NAME: VALUE`},
		{"no YAML", "kind: [bot\n", "test.yaml:1: is not YAML: did not find expected ',' or ']'"},
		{"data after JSON", `{"kind": "lock", "version": "v2", "metadata": {"name": "a"}, "spec": {"target": {"all": true}}} x`, "test.yaml:1: is not YAML: did not find expected <document start>"},
		{"member of JSON twice", "{\n\"kind\": \"lock\",\n\"kind\": \"lock\"}", "test.yaml:3: kind: is there twice, first on line 2; remove one"},
		{"JSON nested too deep", `{"kind": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "test.yaml:1: kind" + strings.Repeat("[0]", 16) + ": is nested deeper than 16"},
		{"null in JSON", `{"kind": "lock", "version": "v2", "metadata": {"name": null}, "spec": {"target": {"all": true}}}`, "test.yaml:1: metadata.name: has no value; write one, or leave the field out"},
		{"not UTF-8", "kind: bot # \xff", "test.yaml:1: is not UTF-8"},
		{"UTF-16", "\xfe\xff\x00k", "test.yaml:1: is not UTF-8"},
		{"too large", "#" + strings.Repeat(" ", 1<<20), "test.yaml:1: has 1048577 bytes; a file has at most 1048576, so make several of it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			docs, _, err := rules.Parse("test.yaml", []byte(tt.document))
			found, ok := errors.AsType[rules.Errors](err)
			if !ok || len(docs) > 0 {
				t.Fatalf("accepted, want %s", tt.want)
			}
			if got := found[0].Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAllErrorsAreReportedAtOnceInOrder(t *testing.T) {
	document := edit(t, everything, "roles: [deployer]", "roles: [Deployer]")
	document = edit(t, document, "kind: lock", "kind: lok")
	document = edit(t, document, "repository_uuid: \"{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}\"", "repository_uuid: shop")
	document = edit(t, document, "max_joins: 1", "max_joins: many")
	document = edit(t, document, "  bot_name: example\n  max", "  max")
	_, _, err := rules.Parse("test.yaml", []byte(document))
	found, _ := errors.AsType[rules.Errors](err)
	var got []string
	for _, e := range found {
		field, _, _ := strings.Cut(strings.TrimPrefix(e.Error(), "test.yaml:"), ": ")
		got = append(got, field+" "+e.Field)
	}
	want := []string{
		"5 spec.roles[0]",
		"14 spec.bot_name", // where the spec is that lacks it
		"17 spec.max_joins",
		"25 spec.bitbucket.allow[0].repository_uuid",
		"79 kind",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s\n%v", diff, err)
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != len(want) {
		t.Errorf("the text has %d lines, want %d", lines, len(want))
	}
}

func TestDocumentsKnowWhereTheyBegin(t *testing.T) {
	docs, _, err := rules.Parse("a.yaml", []byte("# a comment\n---\n---\n"+lockYAML+"---\n# nothing here\n---\n"+botYAML+"...\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) != 2 || docs[0].Line != 4 || docs[1].Line != 14 || docs[0].File != "a.yaml" || docs[1].Resource.Name() != "example" {
		t.Errorf("documents: %+v", docs)
	}
	if docs, _, err := rules.Parse("empty.yaml", nil); err != nil || len(docs) != 0 {
		t.Errorf("an empty file: %v, %v", docs, err)
	}
}

func TestParseReadsJSON(t *testing.T) {
	const document = `{
	"kind": "lock", "version": "v2",
	"metadata": {"name": "stop", "description": "a\u2028b \ud83d\ude80 \/ \"q\""},
	"spec": {"target": {"all": true}}
}
`
	lock := parseOne[*rules.Lock](t, document)
	if want := "a\u2028b 🚀 / \"q\""; lock.Metadata.Description != want {
		t.Errorf("description %q, want %q", lock.Metadata.Description, want)
	}
	docs, _, err := rules.Parse("test.json", []byte(document+edit(t, document, "stop", "stop-2")))
	if err != nil || len(docs) != 2 || docs[1].Line != 6 {
		t.Errorf("two JSON values: %+v, %v", docs, err)
	}
	_, _, err = rules.Parse("test.json", []byte(edit(t, document, `"all"`, `"al"`)))
	if want := "test.json:4: spec.target.al: is not a field here; did you mean all?"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestOversizedResourceIsRefused(t *testing.T) {
	rule := "      - {project_id: 00000000-0000-0000-0000-000000000003, vcs_ref: " + strings.Repeat("r", 500) + "}\n"
	document := edit(t, circleYAML, "    deny:\n", strings.Repeat(rule, 600)+"    deny:\n")
	_, _, err := rules.Parse("test.yaml", []byte(document))
	if err == nil || !strings.Contains(err.Error(), "that a resource may have") {
		t.Errorf("got %v", err)
	}
}
