package provider_test

import (
	"slices"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// TestSameUUID: one pair of braces and the case do not count, and all else does.
func TestSameUUID(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"ab", "ab", true}, {"ab", "AB", true}, {"{ab}", "ab", true}, {"ab", "{AB}", true}, {"{ab}", "{ab}", true},
		{"ab", "ac", false}, {"{ab", "ab", false}, {"ab}", "ab", false}, {"{{ab}}", "ab", false}, {"{{ab}}", "{ab}", false},
		{"xabx", "ab", false}, {"xab}", "ab", false}, {"{abx", "ab", false}, {"{", "", false}, {"}", "", false}, {"{}", "", true}, {"{", "{", true}, {"", "", true},
	} {
		if got := provider.SameUUID(tc.a, tc.b); got != tc.want {
			t.Errorf("%q and %q: %t", tc.a, tc.b, got)
		}
	}
}

// TestClaimsOfACI: claims of which nobody says what they are of are those of the one CI that has them all.
func TestClaimsOfACI(t *testing.T) {
	for _, p := range provider.All() {
		claims := provider.Claims{}
		for _, name := range p.Required {
			claims[name] = "x"
		}
		if got := provider.OfClaims(claims); got != p {
			t.Errorf("the claims of %s are taken for those of %v", p.Method, got)
		}
		for _, name := range p.Required {
			for _, not := range []any{nil, "", 1} {
				claims[name] = not
				if got := provider.OfClaims(claims); got != nil {
					t.Errorf("claims of %s with %s %v are taken for those of %s", p.Method, name, not, got.Method)
				}
			}
			claims[name] = "x"
		}
		names := p.ClaimNames()
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("%s: the names of claims are %v, want each once and sorted", p.Method, names)
		}
		want := append([]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp"}, p.Required...)
		for _, f := range p.Fields {
			want = append(want, f.Claim)
		}
		for _, name := range append(want, p.Others...) {
			if !slices.Contains(names, name) {
				t.Errorf("%s: no claim %s", p.Method, name)
			}
		}
	}
	if got := provider.OfClaims(provider.Claims{}); got != nil {
		t.Errorf("no claims are taken for those of %s", got.Method)
	}
}

// TestOneValueIsAListOfOne, of a claim that is a list.
func TestOneValueIsAListOfOne(t *testing.T) {
	p := provider.Of("circleci")
	list, one := p.Field("context_id"), p.Field("project_id")
	if got, ok := list.Claimed("x").([]any); !ok || len(got) != 1 || got[0] != "x" {
		t.Errorf("one context is %v", list.Claimed("x"))
	}
	if got, ok := list.Claimed([]any{"x", "y"}).([]any); !ok || len(got) != 2 {
		t.Errorf("two contexts are %v", got)
	}
	if list.Claimed(nil) != nil || one.Claimed("x") != "x" {
		t.Errorf("nothing is %v, and a project %v", list.Claimed(nil), one.Claimed("x"))
	}
}

// TestTheAudienceOfASection is the one that is written, and CircleCI's default is the organization.
func TestTheAudienceOfASection(t *testing.T) {
	for _, p := range provider.All() {
		if f := p.Setting("audience"); f == nil || f.Form != provider.Audience {
			t.Errorf("%s: the audience is checked as %+v", p.Method, f)
		}
		if got := p.Audience(&provider.Section{Settings: named("organization_id " + home + " audience x")}); got != "x" {
			t.Errorf("%s: audience %q, want x", p.Method, got)
		}
	}
	if got := provider.Of("circleci").Audience(&provider.Section{Settings: named("organization_id " + home)}); got != home {
		t.Errorf("default audience %q, want %q", got, home)
	}
}

// TestNoAudienceIsBound: a rule without an audience is not the rule of a bound audience.
func TestNoAudienceIsBound(t *testing.T) {
	if provider.Bound(provider.BindingMark+"x", "") || !provider.Bound("a"+provider.BindingMark+"x", "a") || provider.Bound("a", "a") {
		t.Error("an audience is taken for another's bound form")
	}
}
