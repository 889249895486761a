package provider_test

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

func question(t *testing.T, method, name string) provider.Question {
	t.Helper()
	for _, q := range provider.Of(method).New.Questions {
		if q.Name == name {
			return q
		}
	}
	t.Fatalf("%s asks for no %s", method, name)
	return provider.Question{}
}

// TestWhatPeoplePasteIsTidied holds what the questions make of addresses and names.
func TestWhatPeoplePasteIsTidied(t *testing.T) {
	const atBitbucket = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"
	for _, tc := range []struct{ method, question, pasted, want, problem string }{
		{"circleci", "origin", "github.com/acme/shop", "github.com/acme/shop", ""},
		{"circleci", "origin", ` "github.com/acme/shop" `, "github.com/acme/shop", ""},
		{"circleci", "origin", "https://github.com/acme/shop", "github.com/acme/shop", ""},
		{"circleci", "origin", "https://github.com/acme/shop.git", "github.com/acme/shop", ""},
		{"circleci", "origin", "https://github.com/acme/shop/", "github.com/acme/shop", ""},
		{"circleci", "origin", "https://me@github.com:443/acme/shop/tree/main?tab=readme#x", "github.com/acme/shop", ""},
		{"circleci", "origin", "https://bitbucket.org/acme/shop/src/main", "bitbucket.org/acme/shop", ""},
		{"circleci", "origin", "https://gitlab.example/group/sub/shop/-/tree/main", "gitlab.example/group/sub/shop", ""},
		{"circleci", "origin", "http://git.example/acme/shop?x=y", "git.example/acme/shop", ""},
		{"circleci", "origin", "git@github.com:acme/shop.git", "github.com/acme/shop", ""},
		{"circleci", "origin", "ssh://git@github.com:22/acme/shop.git", "github.com/acme/shop", ""},
		{"circleci", "origin", "ssh://git@git.example/acme/sho?", "git.example/acme/sho?", ""},
		{"circleci", "origin", "git://git.example/acme/sho?", "git.example/acme/sho?", ""},
		{"circleci", "origin", "github.com/acme/*", "github.com/acme/*", ""},
		{"circleci", "origin", "ftp://github.com/acme/shop", "", "is not the address of a repository"},
		{"circleci", "origin", "https:///acme/shop", "", "is not the address of a repository"},
		{"circleci", "origin", "https://%zz/acme/shop", "", "is not the address of a repository"},
		{"circleci", "origin", "acme/shop", "", "is not HOST/OWNER/NAME"},
		{"circleci", "origin", "localhost/acme/shop", "", "is not HOST/OWNER/NAME"},
		{"circleci", "origin", "github.com//shop", "", "is not HOST/OWNER/NAME"},
		{"circleci", "origin", "github.com/acme", "", "is not HOST/OWNER/NAME"},
		{"circleci", "origin", "https://github.com/acme", "", "is not HOST/OWNER/NAME"},
		{"circleci", "origin", "https://github.com/acme/shop#readme", "github.com/acme/shop", ""},
		{"circleci", "origin", "https://github.com/acme/shop///", "github.com/acme/shop", ""},
		{"bitbucket", "branch", "~a", "~a", `has a '~'`},
		{"circleci", "origin", "github.com/acme/my shop", "", `has a ' '`},
		{"circleci", "ref", "main", "refs/heads/main", ""},
		{"circleci", "ref", "'main'", "refs/heads/main", ""},
		{"circleci", "ref", "refs/tags/v1", "refs/tags/v1", ""},
		{"circleci", "ref", "", "", ""},
		{"circleci", "ref", "a:b", "refs/heads/a:b", `has a ':'`},
		{"github", "ref", "main", "refs/heads/main", ""},
		{"bitbucket", "branch", "release/*", "release/*", ""},
		{"bitbucket", "branch", "a~b", "a~b", `has a '~'`},
		{"bitbucket", "branch", "a^b", "a^b", `has a '^'`},
		{"bitbucket", "branch", "a[b", "a[b", `has a '['`},
		{"bitbucket", "branch", `a\b`, `a\b`, `has a '\\'`},
		{"bitbucket", "issuer", atBitbucket, atBitbucket, ""},
		{"bitbucket", "issuer", atBitbucket + "/", atBitbucket, ""},
		{"bitbucket", "issuer", atBitbucket + "/.well-known/openid-configuration", atBitbucket, ""},
		{"bitbucket", "issuer", atBitbucket + "/keys.json", atBitbucket, ""},
		{"bitbucket", "issuer", "acme", atBitbucket, ""},
		{"bitbucket", "issuer", "https://bitbucket.org/acme/shop/pipelines", atBitbucket, ""},
		{"bitbucket", "issuer", "Acme", "", "is not an identity provider URL"},
		{"bitbucket", "issuer", "-acme", "", "is not an identity provider URL"},
		{"bitbucket", "issuer", "https://api.bitbucket.org/2.0/workspaces//pipelines-config/identity/oidc", "", "is not an identity provider URL"},
		{"bitbucket", "issuer", "https://api.bitbucket.org/2.0/workspaces/a/b/pipelines-config/identity/oidc", "", "is not an identity provider URL"},
		{"bitbucket", "issuer", "https://api.bitbucket.org/2.0/workspaces/acme", "", "is not an identity provider URL"},
		{"circleci", "issuer", " https://ci.example.com/.well-known/jwks-pub.json ", "https://ci.example.com", ""},
	} {
		got, err := question(t, tc.method, tc.question).Tidy(tc.pasted)
		if tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) || tc.problem == "" && (err != nil || got != tc.want) {
			t.Errorf("%s %s %q: got %q, %v, want %q %s", tc.method, tc.question, tc.pasted, got, err, tc.want, tc.problem)
		}
	}
}

// TestAnAddressAnswersItsOwnQuestion: a UUID in it is of what the page is about, and of nothing else.
func TestAnAddressAnswersItsOwnQuestion(t *testing.T) {
	for address, want := range map[string]string{
		"https://app.circleci.com/settings/organization/circleci/acme/org/0": "organization",
		"https://app.circleci.com/organization/0/settings":                   "organization",
		"https://app.circleci.com/organization/acme/contexts/0":              "context",
		"https://app.circleci.com/settings/project/circleci/0":               "project",
		"https://app.circleci.com/api/v2/projects/0":                         "project",
		"https://app.circleci.com/pipeline-definition/0":                     "definition",
		"https://elsewhere.example/0":                                        "",
	} {
		for _, q := range provider.Of("circleci").New.Questions {
			if q.Belongs != nil && q.Belongs(address) != (q.Name == want) {
				t.Errorf("%s belongs to %s: %t", address, q.Name, q.Name != want)
			}
		}
	}
	for address, want := range map[string]string{
		"https://bitbucket.org/acme/shop/0": "repository environment",
		"ari:cloud:bitbucket::workspace/0":  "workspace",
		"https://elsewhere.example/0":       "",
	} {
		for _, q := range provider.Of("bitbucket").New.Questions {
			if q.Belongs != nil && q.Belongs(address) != strings.Contains(want, q.Name) {
				t.Errorf("%s belongs to %s: %t", address, q.Name, !strings.Contains(want, q.Name))
			}
		}
	}
}
