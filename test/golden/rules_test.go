package golden_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
	"github.com/gatepass-ci/gatepass/test/golden"
)

// TestRules holds the rule language to what it stored, said and decided.
func TestRules(t *testing.T) {
	a := golden.Open(t, "rules")
	documents, warnings, err := rules.Parse("resources.yaml", a.Input("resources.yaml"))
	must(t, err)
	var all []rules.Resource
	for _, d := range documents {
		all = append(all, d.Resource)
	}
	a.Compare("resources.stored.txt", eachResource(t, all, rules.Encode))
	a.Compare("resources.canonical.yaml", eachResource(t, all, rules.MarshalYAML))
	a.Compare("resources.warnings.txt", lines(warnings))
	a.Compare("resources.lint.txt", lint(all))
	a.Compare("refused.errors.txt", refused(a.Input("refused.txt")))
	a.Compare("fields.txt", fields())
	a.Compare("decisions.txt", decisions(t, all))
	a.Compare("grants.txt", grants(t, all))
}

func eachResource(t *testing.T, all []rules.Resource, encode func(rules.Resource) ([]byte, error)) []byte {
	var out bytes.Buffer
	for _, r := range all {
		text, err := encode(r)
		must(t, err)
		fmt.Fprintf(&out, "--- # %s/%s\n%s\n", r.Kind(), r.Name(), bytes.TrimSuffix(text, []byte("\n")))
	}
	return out.Bytes()
}

func lines[T fmt.Stringer](all []T) []byte {
	var out bytes.Buffer
	for _, one := range all {
		fmt.Fprintln(&out, one)
	}
	return out.Bytes()
}

func lint(all []rules.Resource) []byte {
	var out bytes.Buffer
	for _, f := range rules.Lint(all) {
		fmt.Fprintf(&out, "%s %s/%s %s: %s\n", f.Severity, f.Kind, f.Name, f.Field, f.Message)
	}
	return out.Bytes()
}

// refused tells what Parse says of each file; sections begin with "=== NAME".
func refused(input []byte) []byte {
	var out bytes.Buffer
	for _, section := range strings.Split("\n"+string(input), "\n=== ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		_, warnings, err := rules.Parse("x.yaml", []byte(text))
		fmt.Fprintf(&out, "=== %s\n%s%v\n", name, lines(warnings), err)
	}
	return out.Bytes()
}

// fields tells what is said of single fields and their values.
func fields() []byte {
	var out bytes.Buffer
	values := []string{"", "acme", "{922E118C-F34F-4226-A897-0E0AFBEC553D}", "922e118c-f34f-4226-a897-0e0afbec553d", "main",
		"refs/heads/main", "github.com/acme/shop", "https://github.com/acme/shop.git", "https://a.example.com", "http://a/", "2100-01-01", "2100-01-01T00:00:00Z", "a b"}
	for _, field := range []string{"name", "bot_name", "expires", "identity_provider_url", "issuer", "audience", "logins",
		"organization_id", "workspace_uuid", "repository_uuid", "deployment_environment_uuid", "branch_name",
		"context_id", "project_id", "pipeline_definition_id", "vcs_origin", "vcs_ref"} {
		fmt.Fprintf(&out, "%s: %q\n", field, where(field))
		for _, value := range values {
			kept, err := rules.CheckField(field, value)
			fmt.Fprintf(&out, "  %q: %q %v\n", value, kept, err)
		}
	}
	return out.Bytes()
}

// where says where a person finds the value of a field.
func where(field string) string {
	for _, p := range provider.All() {
		if f := p.Field(field); f != nil {
			return f.Where
		}
		if s := p.Setting(field); s != nil {
			return s.Where
		}
	}
	return ""
}

// jobs are claims by the name of a job, some with a field changed from a job before it.
func jobs() (names []string, claims map[string]rules.Claims) {
	claims = make(map[string]rules.Claims)
	add := func(name string, c rules.Claims) { names = append(names, name); claims[name] = c }
	with := func(of, field string, values ...string) {
		c := make(rules.Claims)
		for k, v := range claims[of] {
			c[k] = v
		}
		c[field] = values
		if len(values) == 0 {
			delete(c, field)
		}
		add(fmt.Sprintf("%s %s=%q", of, field, values), c)
	}
	add("none", rules.Claims{})
	add("bitbucket", rules.Claims{
		"workspace_uuid": {"{922e118c-f34f-4226-a897-0e0afbec553d}"}, "repository_uuid": {"{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"},
		"deployment_environment_uuid": {"{3de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}, "branch_name": {"release/1"},
	})
	for _, branch := range []string{"main", "ma/n", "maain", "release/1/2", "RELEASE/1", "legacy", "legacy2", "feature/*", "feature/x", "", "*"} {
		with("bitbucket", "branch_name", branch)
	}
	with("bitbucket", "branch_name")
	with("bitbucket", "workspace_uuid", "922E118C-f34f-4226-a897-0e0afbec553d")
	with("bitbucket", "workspace_uuid", "{822e118c-f34f-4226-a897-0e0afbec553d}")
	with("bitbucket", "workspace_uuid")
	with("bitbucket", "repository_uuid", "{2de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}")
	with("bitbucket", "deployment_environment_uuid", "{4de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}")
	with("bitbucket", "deployment_environment_uuid")
	add("circleci", rules.Claims{
		"context_id": {"00000000-0000-0000-0000-000000000002"}, "project_id": {"00000000-0000-0000-0000-000000000003"},
		"pipeline_definition_id": {"00000000-0000-0000-0000-000000000004"}, "vcs_origin": {"github.com/acme/shop"}, "vcs_ref": {"refs/heads/release/1"},
	})
	for _, ref := range []string{"refs/heads/main", "refs/heads/legacy", "refs/pull/1/head", "refs/heads/pull/1", "refs/heads/release/12", ""} {
		with("circleci", "vcs_ref", ref)
	}
	with("circleci", "vcs_ref")
	with("circleci", "context_id", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-000000000002")
	with("circleci", "context_id", "00000000-0000-0000-0000-000000000001")
	with("circleci", "context_id")
	with("circleci", "vcs_origin", "github.com/evil/shop")
	with("circleci", "vcs_origin", "github.com/Acme/shop")
	with("circleci", "vcs_origin")
	with("circleci", "project_id", "00000000-0000-0000-0000-000000000009")
	with("circleci", "pipeline_definition_id", "00000000-0000-0000-0000-000000000005")
	with("circleci", "pipeline_definition_id")
	return names, claims
}

// decisions holds every job to every token rule, and tells what was compared.
func decisions(t *testing.T, all []rules.Resource) []byte {
	var out bytes.Buffer
	names, claims := jobs()
	for _, r := range all {
		token, ok := r.(*rules.TokenRule)
		if !ok {
			continue
		}
		fmt.Fprintf(&out, "=== %s issuer %s audience %s fields %v\n", token.Name(), token.Issuer(), token.Audience(), token.Fields())
		for _, name := range names {
			d := token.Decide(claims[name])
			fmt.Fprintf(&out, "%s: %s %d unmatched %v\n", name, d.Outcome, d.Rule, d.UnmatchedFields())
			for _, m := range d.Mismatches {
				fmt.Fprintf(&out, "  mismatch %s\n", asJSON(t, m))
			}
			for _, c := range token.Compare(claims[name]) {
				fmt.Fprintf(&out, "  compare %s\n", asJSON(t, told(c)))
			}
		}
	}
	return out.Bytes()
}

// comparison is a rules.RuleComparison as the golden file has it.
type comparison struct {
	Deny    bool
	Rule    int
	Matches bool
	Fields  []comparedField
}

type comparedField struct {
	Field, Want string
	Got         []string
	Matches     bool
}

func told(c rules.RuleComparison) comparison {
	out := comparison{Deny: c.List == rules.ListDeny, Rule: c.Rule, Matches: c.Matches}
	for _, f := range c.Fields {
		out.Fields = append(out.Fields, comparedField(f))
	}
	return out
}

// grants tells what the bots get for each wish, alone and by some of their roles.
func grants(t *testing.T, all []rules.Resource) []byte {
	var out bytes.Buffer
	roles, bots := ofType[*rules.Role](all), ofType[*rules.Bot](all)
	wishes := []rules.Wish{
		{Type: "ssh"}, {Type: "ssh", Roles: []string{"access"}}, {Type: "ssh", Roles: []string{"hosts", "access"}}, {Type: "ssh", Roles: []string{"nobody"}},
		{Type: "x509", Usage: "identity"}, {Type: "jwt", Audience: "https://vault.example.com"}, {Type: "jwt", Audience: "https://elsewhere.example.com"},
		{Type: "x509", Usage: "database", DBUser: "app"}, {Type: "x509", Usage: "database", DBUser: "app", DBName: "orders"},
		{Type: "x509", Usage: "database", DBUser: "report", DBName: "orders"}, {Type: "x509", Usage: "database", DBUser: "postgres"},
		{Type: "x509", Usage: "application", App: "grafana"}, {Type: "x509", Usage: "application", App: "secret"},
		{Type: "x509", Usage: "kubernetes", KubernetesUser: "ci"}, {Type: "x509", Usage: "kubernetes", KubernetesUser: "admin"},
	}
	for _, bot := range bots {
		for _, granted := range bot.Granted(roles) {
			fmt.Fprintf(&out, "%s granted %s hosts %q\n", bot.Name(), asJSON(t, granted), granted.Allow.Hosts())
		}
		for _, w := range wishes {
			grant, err := bot.Grant(roles, w)
			var refusal *rules.NotPermittedError
			if errors.As(err, &refusal) {
				fmt.Fprintf(&out, "%s wish %s: refused %q %s\n", bot.Name(), asJSON(t, w), refusal.Field, refusal.Message)
				continue
			}
			must(t, err)
			fmt.Fprintf(&out, "%s wish %s: %s\n", bot.Name(), asJSON(t, w), asJSON(t, grant))
		}
	}
	for _, labels := range []string{"", "env=prod", "tier=web,env=qa", "a", "a=b=c", "a=,b=c"} {
		parsed, err := rules.ParseLabels(labels)
		fmt.Fprintf(&out, "host %q: %q %q %v\n", labels, rules.FormatLabels(parsed), rules.HostPrincipals("deploy", parsed), err)
	}
	return out.Bytes()
}

func ofType[T rules.Resource](all []rules.Resource) (kept []T) {
	for _, r := range all {
		if one, ok := r.(T); ok {
			kept = append(kept, one)
		}
	}
	slices.SortFunc(kept, func(x, y T) int { return strings.Compare(x.Name(), y.Name()) })
	return kept
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return text
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
