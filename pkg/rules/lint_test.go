package rules_test

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// clean are resources that lint finds nothing in.
const clean = botYAML + "---\n" + bitbucketYAML + "---\n" + circleYAML + "---\n" + roleYAML + "---\n" + lockYAML

func TestLintFindsNothingInCareful(t *testing.T) {
	for _, f := range rules.Lint(parse(t, clean)) {
		t.Errorf("unexpected: %+v", f)
	}
}

func TestLint(t *testing.T) {
	const workspaceAudience = "ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d"
	bitbucket := func(old, new string) string { return edit(t, clean, old, new) }
	globs := func(document string) string { return edit(t, document, "matching: false", "matching: true") }
	circleGlobs := func(old, new string) string {
		return edit(t, edit(t, clean, "issuer: https://oidc.circleci.com", "enable_glob_matching: true"), old, new)
	}
	tests := []struct {
		name, document string
		severity       rules.Severity
		where          string // kind/name field
		message        string
	}{
		{"default audience, Bitbucket", bitbucket("oidc\n    audience: https://join.example.com", "oidc\n    audience: "+workspaceAudience), rules.SeverityWarning, "token/example-bot spec.bitbucket.audience", "is the workspace's default"},
		{"default audience, CircleCI", bitbucket("000001\n    audience: https://join.example.com\n", "000001\n"), rules.SeverityWarning, "token/circle-bot spec.circleci.audience", "is the organization's default"},
		{"default audience written down", bitbucket("000001\n    audience: https://join.example.com\n", "000001\n    audience: 00000000-0000-0000-0000-000000000001\n"), rules.SeverityWarning, "token/circle-bot spec.circleci.audience", "is the organization's default"},

		{"any branch", bitbucket("        branch_name: main\n", ""), rules.SeverityWarning, "token/example-bot spec.bitbucket.allow[0]", "from any branch"},
		{"any branch of an environment", bitbucket("        branch_name: main\n", "        deployment_environment_uuid: 3de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c\n"), rules.SeverityInfo, "token/example-bot spec.bitbucket.allow[0]", "every branch that may deploy"},
		{"bind missing where the CI mints on demand", bitbucket("  bind: required\n", ""), rules.SeverityInfo, "token/circle-bot spec.bind", "write bind: required"},
		{"bind: optional where the CI mints on demand", bitbucket("bind: required", "bind: optional"), rules.SeverityInfo, "token/circle-bot spec.bind", "write bind: required"},
		{"no vcs_origin", bitbucket("        vcs_origin: github.com/acme/shop\n", ""), rules.SeverityWarning, "token/circle-bot spec.circleci.allow[0]", "does not name vcs_origin"},

		{"issuer of others, Bitbucket", bitbucket("https://api.bitbucket.org/2.0/workspaces/acme", "https://api.bitbucket.org.example.com/2.0/workspaces/acme"), rules.SeverityWarning, "token/example-bot spec.bitbucket.identity_provider_url", "whoever runs api.bitbucket.org.example.com"},
		{"issuer of others, CircleCI", bitbucket("issuer: https://oidc.circleci.com", "issuer: https://oidc.circleci.com.example.com"), rules.SeverityWarning, "token/circle-bot spec.circleci.issuer", "whoever runs oidc.circleci.com.example.com"},

		{"glob that matches everything, Bitbucket", globs(bitbucket("branch_name: legacy", "branch_name: '*'")), rules.SeverityWarning, "token/example-bot spec.bitbucket.deny[0].branch_name", "matches everything"},
		{"glob that matches everything, ref", circleGlobs("vcs_ref: refs/heads/main", "vcs_ref: '**?'"), rules.SeverityWarning, "token/circle-bot spec.circleci.allow[0].vcs_ref", "matches everything"},
		{"glob that matches every branch", circleGlobs("vcs_ref: refs/heads/main", "vcs_ref: refs/heads/*"), rules.SeverityWarning, "token/circle-bot spec.circleci.allow[0].vcs_ref", "matches everything"},
		{"glob that matches every origin", circleGlobs("vcs_origin: github.com/acme/shop", "vcs_origin: '*'"), rules.SeverityWarning, "token/circle-bot spec.circleci.allow[0].vcs_origin", "matches everything"},
		{"glob that matches every owner", circleGlobs("vcs_origin: github.com/acme/shop", "vcs_origin: 'github.com/*'"), rules.SeverityWarning, "token/circle-bot spec.circleci.allow[0].vcs_origin", "of other owners"},
		{"glob that matches other owners", circleGlobs("vcs_origin: github.com/acme/shop", "vcs_origin: 'github.com/acme*'"), rules.SeverityWarning, "token/circle-bot spec.circleci.allow[0].vcs_origin", "of other owners"},
		{"denied glob that matches everything", circleGlobs("vcs_ref: refs/heads/legacy", "vcs_ref: '*'"), rules.SeverityWarning, "token/circle-bot spec.circleci.deny[0].vcs_ref", "matches everything"},
		{"glob where none is enabled", bitbucket("branch_name: main", "branch_name: release/*"), rules.SeverityWarning, "token/example-bot spec.bitbucket.allow[0].branch_name", "are literal unless enable_glob_matching"},

		{"user of Kubernetes itself", bitbucket("kubernetes_users: [ci]", "kubernetes_users: ['system:admin']"), rules.SeverityWarning, "role/deployer spec.allow.kubernetes_users[0]", "built into Kubernetes"},
		{"group of Kubernetes itself", bitbucket("[deployers]", "[deployers, 'system:masters']"), rules.SeverityWarning, "role/deployer spec.allow.kubernetes_groups[1]", "built into Kubernetes"},
		{"login of root", bitbucket("logins: [deploy, ", "logins: [root, "), rules.SeverityWarning, "role/deployer spec.allow.logins[0]", "root may do anything"},
		{"login of root by a trait", bitbucket("values: [deploy]", "values: [deploy, root]"), rules.SeverityWarning, "bot/example spec.traits", "trait logins: root may do anything"},
		{"pin that holds for SSH only", bitbucket("permit_pty: true", "pin_source_ip: true"), rules.SeverityWarning, "role/deployer spec.options.pin_source_ip", "only SSH certificates"},

		{"bot without roles", clean + "---\n{kind: bot, version: v1, metadata: {name: idle}, spec: {}}\n", rules.SeverityWarning, "bot/idle spec.roles", "has no roles"},
		{"role that nobody has", clean + "---\n{kind: role, version: v7, metadata: {name: idle}, spec: {}}\n", rules.SeverityWarning, "role/idle ", "no bot has this role"},
		{"role that does not exist", bitbucket("roles: [deployer]", "roles: [deployer, deploier]"), rules.SeverityWarning, "bot/example spec.roles[1]", `there is no role "deploier" (did you mean "deployer"?)`},
		{"token of no bot", bitbucket("bot_name: example\n  max", "bot_name: exmaple\n  max"), rules.SeverityWarning, "token/example-bot spec.bot_name", `there is no bot "exmaple" (did you mean "example"?), so no job can join`},
		{"expires missing", bitbucket(`example-bot, expires: "2100-01-01T00:00:00Z"`, "example-bot"), rules.SeverityWarning, "token/example-bot metadata.expires", "until somebody removes it"},

		{"lock of no bot", bitbucket("{bot: example}", "{bot: exmaple}"), rules.SeverityWarning, "lock/stop-example spec.target.bot", `there is no bot "exmaple" (did you mean "example"?): the lock stops nothing`},
		{"lock of no token", bitbucket("{bot: example}", "{token: example}"), rules.SeverityWarning, "lock/stop-example spec.target.token", "stops nothing"},
		{"lock of no role", bitbucket("{bot: example}", "{role: example}"), rules.SeverityWarning, "lock/stop-example spec.target.role", "stops nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := rules.Lint(parse(t, tt.document))
			if len(findings) != 1 {
				t.Fatalf("%d findings, want one: %+v", len(findings), findings)
			}
			f := findings[0]
			if where := string(f.Kind) + "/" + f.Name + " " + f.Field; f.Severity != tt.severity || where != tt.where || !strings.Contains(f.Message, tt.message) {
				t.Errorf("got  %s: %s: %s\nwant %s: %s: …%s…", f.Severity, where, f.Message, tt.severity, tt.where, tt.message)
			}
		})
	}
}

func TestLintPassesCarefulGlobs(t *testing.T) {
	document := edit(t, clean, "issuer: https://oidc.circleci.com", "enable_glob_matching: true")
	document = edit(t, document, "vcs_origin: github.com/acme/shop", "vcs_origin: 'github.com/acme/*'")
	document = edit(t, document, "vcs_ref: refs/heads/main", "vcs_ref: 'refs/heads/release/*'")
	for _, f := range rules.Lint(parse(t, document)) {
		t.Errorf("unexpected: %+v", f)
	}
}

func TestSeveritiesHaveNames(t *testing.T) {
	for s, want := range map[rules.Severity]string{rules.SeverityInfo: "info", rules.SeverityWarning: "warning", 7: "severity 7"} {
		if s.String() != want {
			t.Errorf("%d is %q, want %q", int(s), s, want)
		}
	}
}
