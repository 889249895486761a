package provider_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

const (
	org  = "oidc.circleci.com/org-id"
	home = "00000000-0000-0000-0000-000000000001"
)

// TestLookFindsWhatAServiceRefuses, and nothing in the ID token of an honest job.
func TestLookFindsWhatAServiceRefuses(t *testing.T) {
	circle := func(name string, value any) provider.Claims {
		c := provider.Claims{"oidc.circleci.com/project-id": "x", "oidc.circleci.com/ssh-rerun": false, "oidc.circleci.com/vcs-ref": "refs/heads/main"}
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	for name, tc := range map[string]struct {
		method string
		claims provider.Claims
		want   []string
	}{
		"an honest job":          {"circleci", circle("x", 1), nil},
		"re-run with SSH":        {"circleci", circle("oidc.circleci.com/ssh-rerun", true), []string{"ssh rerun"}},
		"a fork":                 {"circleci", circle("oidc.circleci.com/vcs-ref", "refs/pull/1/head"), []string{"fork"}},
		"a fork as a branch":     {"circleci", circle("oidc.circleci.com/vcs-ref", "refs/heads/pull/1"), []string{"fork"}},
		"no project":             {"circleci", circle("oidc.circleci.com/project-id", nil), []string{"project"}},
		"nothing":                {"circleci", provider.Claims{}, []string{"project"}},
		"a deployment":           {"bitbucket", provider.Claims{"deploymentEnvironmentUuid": "x"}, nil},
		"no deployment":          {"bitbucket", provider.Claims{}, []string{"deployment"}},
		"a deployment of a sort": {"bitbucket", provider.Claims{"deploymentEnvironmentUuid": 1}, []string{"deployment"}},
	} {
		var got []string
		for _, n := range provider.Of(tc.method).Doctor.Look(tc.claims) {
			got = append(got, n.Name)
			if n.Text == "" || n.OK != (n.Name == "deployment") {
				t.Errorf("%s: %+v", name, n)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: found %v, want %v", name, got, tc.want)
		}
	}
}

// TestSharedAudiences are those that other services get ID tokens for too.
func TestSharedAudiences(t *testing.T) {
	claims := provider.Claims{org: home}
	for _, tc := range []struct {
		method, audience string
		want             bool
	}{
		{"bitbucket", "ari:cloud:bitbucket::workspace/x", true}, {"bitbucket", "https://join.example.com", false},
		{"circleci", home, true}, {"circleci", strings.ToUpper(home), true}, {"circleci", home + "0", false}, {"circleci", "https://join.example.com", false},
		{"github", "https://github.com/acme", true}, {"github", "https://join.example.com", false},
	} {
		if got := provider.Of(tc.method).Doctor.SharedAudience(tc.audience, claims); got != tc.want {
			t.Errorf("%s %s: %t", tc.method, tc.audience, got)
		}
	}
}

// TestWhatAllCIsTell is what doctor, lint and new ask of the whole table.
func TestWhatAllCIsTell(t *testing.T) {
	if hint := provider.Hint("ssh_rerun_refused"); !strings.Contains(hint, "allow_ssh_rerun") {
		t.Errorf("hint %q", hint)
	}
	if hint := provider.Hint("not_permitted"); hint != "" {
		t.Errorf("hint %q of a code that no CI has", hint)
	}
	if got := provider.IssuerSettings(); !slices.Equal(got, []string{"identity_provider_url", "organization_id"}) {
		t.Errorf("settings %v", got)
	}
	for method, want := range map[string][]string{"bitbucket": {"branch_name"}, "circleci": {"vcs_origin", "vcs_ref"}, "github": {"ref", "job_workflow_ref", "sub"}} {
		if got := provider.Of(method).Globs(); !slices.Equal(got, want) {
			t.Errorf("%s: globs %v, want %v", method, got, want)
		}
	}
}

// TestLintTellsOfPatternsAndIssuers holds the line between what is told and what is not.
func TestLintTellsOfPatternsAndIssuers(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		settings     string // NAME VALUE …
		rule         string
		globs        bool
		want         string // the fields that are told of
	}{
		{"Bitbucket, a branch", "bitbucket", "identity_provider_url https://api.bitbucket.org/2.0/workspaces/x audience x", "branch_name main", false, ""},
		{"Bitbucket, any branch", "bitbucket", "identity_provider_url https://api.bitbucket.org/2.0/workspaces/x audience x", "branch_name **", true, "allow[0] allow[0].branch_name"},
		{"Bitbucket, a literal star", "bitbucket", "identity_provider_url https://api.bitbucket.org/2.0/workspaces/x audience x", "branch_name *", false, "allow[0].branch_name"},
		{"Bitbucket, any branch of an environment", "bitbucket", "identity_provider_url https://api.bitbucket.org/2.0/workspaces/x audience x", "branch_name * deployment_environment_uuid x", true, "allow[0] allow[0].branch_name"},
		{"Bitbucket, a shared audience and another host", "bitbucket", "identity_provider_url https://api.bitbucket.example/2.0/workspaces/x audience ari:cloud:bitbucket::workspace/x", "branch_name main", false, "audience identity_provider_url"},
		{"CircleCI, an origin", "circleci", "organization_id " + home + " audience x", "vcs_origin github.com/acme/shop", false, ""},
		{"CircleCI, no origin", "circleci", "organization_id " + home + " audience x", "vcs_ref main", false, "allow[0]"},
		{"CircleCI, the default audience", "circleci", "organization_id " + home, "vcs_origin github.com/acme/shop", false, "audience"},
		{"CircleCI, its own issuer", "circleci", "organization_id " + home + " audience x issuer https://oidc.circleci.com", "vcs_origin github.com/acme/shop", false, ""},
		{"CircleCI, its own issuer of one organization", "circleci", "organization_id " + home + " audience x issuer https://oidc.circleci.com/org/x", "vcs_origin github.com/acme/shop", false, ""},
		{"CircleCI, an issuer that begins like it", "circleci", "organization_id " + home + " audience x issuer https://oidc.circleci.com.example", "vcs_origin github.com/acme/shop", false, "issuer"},
		{"CircleCI, any repository of an owner", "circleci", "organization_id " + home + " audience x", "vcs_origin github.com/acme/*", true, ""},
		{"CircleCI, any owner", "circleci", "organization_id " + home + " audience x", "vcs_origin github.com/*/shop", true, "allow[0].vcs_origin"},
		{"CircleCI, an owner that begins so", "circleci", "organization_id " + home + " audience x", "vcs_origin github.com/acm?/shop", true, "allow[0].vcs_origin"},
		{"CircleCI, a star first", "circleci", "organization_id " + home + " audience x", "vcs_origin *hub.com/acme/shop", true, "allow[0].vcs_origin"},
		{"CircleCI, a literal star", "circleci", "organization_id " + home + " audience x", "vcs_origin github.com/*/shop", false, "allow[0].vcs_origin"},
		{"CircleCI, a star in what is no pattern", "circleci", "organization_id " + home + " audience x", "project_id * vcs_origin github.com/acme/shop", false, ""},
		{"GitHub, any branch", "github", "audience x", "repository acme/shop ref refs/heads/*", true, "allow[0] allow[0].ref"},
		{"Bitbucket, one character", "bitbucket", "identity_provider_url https://api.bitbucket.org/2.0/workspaces/x audience x", "branch_name ?", true, ""},
		{"GitHub, no branch", "github", "audience x", "repository acme/shop", false, "allow[0]"},
		{"GitHub, a literal star", "github", "audience x", "repository acme/shop ref refs/heads/*", false, "allow[0].ref"},
		{"GitHub, some branches", "github", "audience x", "repository acme/shop ref refs/heads/release/*", true, ""},
		{"GitHub, an environment", "github", "audience x", "repository acme/shop environment production", true, ""},
	} {
		section := &provider.Section{Settings: named(tc.settings), Allow: []provider.Values{named(tc.rule)}}
		if tc.globs {
			section.Flags = []string{provider.GlobSetting}
		}
		var got []string
		for _, a := range provider.Of(tc.method).Lint(section) {
			got = append(got, a.Field)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: told of %v, want %s", tc.name, got, tc.want)
		}
	}
}

func named(s string) (all provider.Values) {
	words := strings.Fields(s)
	for i := 0; i < len(words); i += 2 {
		all = append(all, provider.Named{Name: words[i], Value: words[i+1]})
	}
	return all
}
