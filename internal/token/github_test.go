package token_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

func githubExpect() token.Expect {
	return token.Expect{Method: "github", Issuer: issuertest.GitHubURL, Audience: audience, MaxAge: time.Hour}
}

func (w world) mintGitHub(t *testing.T, options ...issuertest.Option) string {
	t.Helper()
	raw, err := w.GitHub(issuertest.GitHubJob{Audience: audience, Environment: "production"}, options...)
	return must(t, raw, err)
}

func TestGitHubFields(t *testing.T) {
	w := ecWorld()
	v, err := verify(w.mintGitHub(t), w.keys, githubExpect(), now())
	if err != nil {
		t.Fatal(err)
	}
	const workflow = "acme/shop/.github/workflows/deploy.yml@refs/heads/main"
	want := map[string][]string{
		"repository": {"acme/shop"}, "repository_id": {"74"}, "repository_owner": {"acme"}, "repository_owner_id": {"65"},
		"environment": {"production"}, "ref": {"refs/heads/main"}, "ref_type": {"branch"}, "event_name": {"push"},
		"workflow": {"deploy"}, "job_workflow_ref": {workflow}, "actor": {"octocat"}, "sub": {"repo:acme/shop:environment:production"},
	}
	if !reflect.DeepEqual(v.Fields, want) {
		t.Errorf("fields %v, want %v", v.Fields, want)
	}
}

func TestGitHubClaims(t *testing.T) {
	w := ecWorld()
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    token.Code
	}{
		"honest":             {nil, accept},
		"no environment":     {without("environment"), accept},
		"no event":           {without("event_name"), token.MissingClaim},
		"an empty event":     {claim("event_name", ""), token.MissingClaim},
		"an event of a list": {claim("event_name", []string{"push"}), token.Malformed},
		"no repository":      {without("repository"), token.MissingClaim},
		"an id as a number":  {claim("repository_id", 74), token.Malformed},
		"no run":             {without("run_id"), token.MissingClaim},
		"of another issuer":  {claim("iss", issuertest.GitHubURL+"/acme"), token.WrongIssuer},
		"the owner's aud":    {claim("aud", "https://github.com/acme"), token.WrongAudience},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify(w.mintGitHub(t, tc.options...), w.keys, githubExpect(), now())
			if got := codeOf(t, err); got != tc.want {
				t.Errorf("got %s, want %s (%v)", got, tc.want, err)
			}
		})
	}
}
