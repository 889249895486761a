package rules_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// TestARuleOfNoCI: what is not known, or has no rules, has no issuer and no audience, and lets nobody in.
func TestARuleOfNoCI(t *testing.T) {
	without := parseOne[*rules.TokenRule](t, circleYAML)
	section := without.Sections["circleci"]
	section.Allow = nil
	without.Sections["circleci"] = section
	unknown := parseOne[*rules.TokenRule](t, circleYAML)
	unknown.JoinMethod = "unknown"
	unknown.Sections["unknown"] = unknown.Sections["circleci"]
	for name, token := range map[string]*rules.TokenRule{"no allow rules": without, "an unknown CI": unknown, "nothing": {}} {
		if token.Issuer() != "" || token.Audience() != "" {
			t.Errorf("%s: issuer %q, audience %q", name, token.Issuer(), token.Audience())
		}
		if fields := token.Fields(); name != "no allow rules" && fields != nil {
			t.Errorf("%s: fields %v", name, fields)
		}
		job := claims("project_id", project, "context_id", deployers, "pipeline_definition_id", pipeline, "vcs_origin", "github.com/acme/shop", "vcs_ref", "refs/heads/main")
		if d := token.Decide(job); d.Outcome != rules.NoMatch || d.Rule != -1 {
			t.Errorf("%s: %s", name, d.Outcome)
		}
	}
}

// TestSettingsAreKeptInCanonicalForm: the issuer is made of the organization, and compared byte for byte.
func TestSettingsAreKeptInCanonicalForm(t *testing.T) {
	const organization, issuer = "organization_id: 00000000-0000-0000-0000-000000000001", "    issuer: https://oidc.circleci.com\n"
	const spelt = `organization_id: "{ABCDEF00-0000-0000-0000-000000000001}"`
	token := parseOne[*rules.TokenRule](t, edit(t, edit(t, circleYAML, organization, spelt), issuer, ""))
	if got, want := token.Issuer(), "https://oidc.circleci.com/org/abcdef00-0000-0000-0000-000000000001"; got != want {
		t.Errorf("issuer %q, want %q", got, want)
	}
}

// TestAHandMadeSectionIsChecked: a program can make what no file can say.
func TestAHandMadeSectionIsChecked(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*rules.TokenRule, *provider.Section)
		want   string
	}{
		"a setting twice":        {func(_ *rules.TokenRule, s *provider.Section) { s.Settings = append(s.Settings, s.Settings[0]) }, "duplicate"},
		"an empty setting":       {func(_ *rules.TokenRule, s *provider.Section) { s.Settings[2].Value = "" }, "an empty string"},
		"an unknown setting":     {func(_ *rules.TokenRule, s *provider.Section) { s.Settings[0].Name = "x" }, "is not a field"},
		"a flag as a setting":    {func(_ *rules.TokenRule, s *provider.Section) { s.Settings[2].Name = "allow_forks" }, "is not a field"},
		"a setting as a flag":    {func(_ *rules.TokenRule, s *provider.Section) { s.Flags = []string{"issuer"} }, "duplicate"},
		"an unknown flag":        {func(_ *rules.TokenRule, s *provider.Section) { s.Flags = []string{"x"} }, "is not a field"},
		"a field twice":          {func(_ *rules.TokenRule, s *provider.Section) { s.Allow[0] = append(s.Allow[0], s.Allow[0][0]) }, "duplicate"},
		"an empty field":         {func(_ *rules.TokenRule, s *provider.Section) { s.Allow[0][0].Value = "" }, "an empty string"},
		"an unknown field":       {func(_ *rules.TokenRule, s *provider.Section) { s.Deny[0][0].Name = "x" }, "is not a field"},
		"a section of no CI":     {func(r *rules.TokenRule, s *provider.Section) { r.Sections["x"] = *s }, "x: is not a field"},
		"a section of another":   {func(r *rules.TokenRule, s *provider.Section) { r.Sections["github"] = *s }, "join_method is circleci"},
		"no method":              {func(r *rules.TokenRule, _ *provider.Section) { r.JoinMethod = "" }, "an empty string"},
		"no section of the kind": {func(r *rules.TokenRule, _ *provider.Section) { r.JoinMethod = "github" }, "join_method is github; remove this section"},
	} {
		t.Run(name, func(t *testing.T) {
			token := parseOne[*rules.TokenRule](t, circleYAML)
			section := token.Sections["circleci"]
			tc.change(token, &section)
			token.Sections["circleci"] = section
			if _, err := rules.Encode(token); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestASectionIsKeptInTheOrderOfTheTable, however a program has made it.
func TestASectionIsKeptInTheOrderOfTheTable(t *testing.T) {
	token := parseOne[*rules.TokenRule](t, circleYAML)
	want, err := rules.Encode(token)
	if err != nil {
		t.Fatal(err)
	}
	section := token.Sections["circleci"]
	section.Settings = provider.Values{section.Settings[2], section.Settings[0], section.Settings[1]}
	rule := section.Allow[0]
	section.Allow[0] = provider.Values{rule[4], rule[2], rule[0], rule[3], rule[1]}
	token.Sections["circleci"] = section
	got, err := rules.Encode(token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}
