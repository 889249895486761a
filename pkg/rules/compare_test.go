package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// compared writes comparisons as people read them.
func compared(all []rules.RuleComparison) []string {
	var lines []string
	mark := map[bool]string{true: "+", false: "-"}
	for _, r := range all {
		lines = append(lines, fmt.Sprintf("%s %s[%d]", mark[r.Matches], r.List, r.Rule))
		for _, f := range r.Fields {
			lines = append(lines, fmt.Sprintf("  %s %s: %.12s | %s", mark[f.Matches], f.Field, f.Want, strings.Join(f.Got, ",")))
		}
	}
	return lines
}

func TestCompareTellsEveryFieldOfEveryRule(t *testing.T) {
	token := withRules(t, circleYAML, `    allow:
      - {project_id: `+project+`, vcs_ref: refs/heads/main}
      - {context_id: `+deployers+`}
    deny:
      - {vcs_ref: refs/heads/legacy}
`)
	tests := []struct {
		name   string
		claims rules.Claims
		want   []string
	}{
		{"one rule matches, the rest is told all the same",
			claims("project_id", strings.ToUpper(project), "vcs_ref", "refs/heads/main", "context_id", readers),
			[]string{
				"- deny[0]", "  - vcs_ref: refs/heads/l | refs/heads/main",
				"+ allow[0]", "  + project_id: 00000000-000 | " + project, "  + vcs_ref: refs/heads/m | refs/heads/main",
				"- allow[1]", "  - context_id: 00000000-000 | " + readers,
			}},
		{"a deny rule that matches does not hide what allow rules say",
			claims("project_id", project, "vcs_ref", "refs/heads/legacy", "context_id", deployers),
			[]string{
				"+ deny[0]", "  + vcs_ref: refs/heads/l | refs/heads/legacy",
				"- allow[0]", "  + project_id: 00000000-000 | " + project, "  - vcs_ref: refs/heads/m | refs/heads/legacy",
				"+ allow[1]", "  + context_id: 00000000-000 | " + deployers,
			}},
		{"a fork is told which field is wanting",
			claims("context_id", deployers, "vcs_ref", "refs/pull/7", "vcs_origin", "github.com/evil/shop"),
			[]string{
				"- deny[0]", "  - vcs_ref: refs/heads/l | refs/pull/7",
				"- allow[0]", "  - project_id: 00000000-000 | ", "  - vcs_ref: refs/heads/m | refs/pull/7", "  - vcs_origin: a rule that  | github.com/evil/shop",
				"- allow[1]", "  + context_id: 00000000-000 | " + deployers, "  - vcs_origin: a rule that  | github.com/evil/shop",
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, compared(token.Compare(tt.claims))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestGrantedFillsInAndTakesAway(t *testing.T) {
	bot := parseOne[*rules.Bot](t, edit(t, botYAML, "[deployer]", "[deployer, other, missing]"))
	deployer := parseOne[*rules.Role](t, edit(t, roleYAML, "logins: [admin]", "logins: [admin, audit]"))
	other := parseOne[*rules.Role](t, "{kind: role, version: v7, metadata: {name: other}, spec: {allow: {logins: [audit, web]}}}")
	want := []rules.RoleGrant{
		{Role: "deployer", Allow: rules.Conditions{
			Logins: []string{"deploy"}, DBUsers: []string{"app"}, DBNames: []string{"orders"}, KubernetesUsers: []string{"ci"},
			KubernetesGroups: []string{"deployers"}, AppNames: []string{"grafana"}, JWTAudiences: []string{"https://vault.example.com"},
		}},
		{Role: "other", Allow: rules.Conditions{Logins: []string{"web"}}},
	}
	if diff := cmp.Diff(want, bot.Granted([]*rules.Role{other, deployer})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCheckField(t *testing.T) {
	tests := []struct{ name, field, value, want, problem string }{
		{"UUID in capitals without braces", "workspace_uuid", strings.ToUpper(acme[1:37]), acme, ""},
		{"UUID in braces where none belong", "project_id", "{" + project + "}", project, ""},
		{"name in place of a UUID", "workspace_uuid", "acme", "", "looks like a name"},
		{"slug in place of a UUID", "repository_uuid", "acme/shop", "", "looks like a slug"},
		{"number in place of a UUID", "project_id", "1234", "", "is a number"},
		{"half a UUID", "context_id", deployers[:20], "", "is not a whole UUID"},
		{"nothing", "organization_id", "", "", "is missing"},
		{"issuer", "identity_provider_url", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", ""},
		{"issuer with a slash", "issuer", "https://oidc.circleci.com/", "", "ends in a slash"},
		{"bot", "bot_name", "shop", "shop", ""},
		{"bot in capitals", "bot_name", "Shop", "", `write "shop"`},
		{"bot that is too long", "bot_name", strings.Repeat("a", 65), "", "at most 64"},
		{"token as long", "name", strings.Repeat("a", 65), strings.Repeat("a", 65), ""},
		{"audience", "audience", "https://join.example.com", "https://join.example.com", ""},
		{"audience of everyone", "audience", "*", "", "one exact value"},
		{"login", "logins", "deploy", "deploy", ""},
		{"login with a space", "logins", "de ploy", "", "is not a login"},
		{"every login", "logins", "*", "", "has a *"},
		{"branch", "branch_name", "main", "main", ""},
		{"branch with a space behind", "branch_name", "main ", "", "ends with a space"},
		{"time", "expires", "2100-01-01T00:00:00Z", "2100-01-01T00:00:00Z", ""},
		{"date", "expires", "2100-01-01", "", "is not a time"},
		{"field that there is not", "colour", "red", "", "is not a field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rules.CheckField(tt.field, tt.value)
			if tt.problem == "" && (err != nil || got != tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("got %q, %v, want a problem with %q", got, err, tt.problem)
			}
		})
	}
}

// A person who is asked for an id is told where it is.
func TestTheTableKnowsWhereEveryIDIs(t *testing.T) {
	for _, p := range provider.All() {
		values := map[string]provider.Value{}
		for _, f := range p.Fields {
			values[f.Name] = f.Value
		}
		for _, s := range p.Settings {
			values[s.Name] = s.Value
		}
		for name, v := range values {
			isID := v.Form == provider.UUID || v.Form == provider.Number
			if isID != (strings.HasPrefix(v.Where, "in ") && v.Of != "") || v.Meaning == "" {
				t.Errorf("%s %s is of %q and found %q; it means %q", p.Method, name, v.Of, v.Where, v.Meaning)
			}
		}
	}
}
