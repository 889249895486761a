package token_test

import (
	"reflect"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

func TestBitbucketRequiredClaims(t *testing.T) {
	w := ecWorld()
	for _, name := range []string{"workspaceUuid", "repositoryUuid", "stepUuid"} {
		for what, tc := range map[string]struct {
			options []issuertest.Option
			want    token.Code
		}{
			"absent":  {without(name), token.MissingClaim},
			"empty":   {claim(name, ""), token.MissingClaim},
			"null":    {claim(name, nil), token.Malformed},
			"number":  {claim(name, 1), token.Malformed},
			"array":   {claim(name, []string{"{922e118c-f34f-4226-a897-0e0afbec553d}"}), token.Malformed},
			"present": {nil, accept},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				expectVerdict(t, w, w.mintBitbucket(t, tc.options...), w.bitbucket(), now(), tc.want, true)
			})
		}
	}
	for _, name := range []string{"pipelineUuid", "accountUuid", "branchName", "deploymentEnvironmentUuid"} {
		t.Run(name+"/absent", func(t *testing.T) {
			expectVerdict(t, w, w.mintBitbucket(t, without(name)...), w.bitbucket(), now(), accept, true)
		})
	}
}

func TestBitbucketFields(t *testing.T) {
	w := ecWorld()
	const env = "{759de0c6-1b2c-4d3e-8f40-516273849506}"
	base := map[string][]string{
		"workspace_uuid":  {issuertest.WorkspaceUUID},
		"repository_uuid": {issuertest.RepositoryUUID},
		"branch_name":     {"main"},
	}
	with := func(name string, values ...string) map[string][]string {
		m := map[string][]string{}
		for n, v := range base {
			m[n] = v
		}
		if m[name] = values; values == nil {
			delete(m, name)
		}
		return m
	}
	for name, tc := range map[string]struct {
		options []issuertest.Option
		want    map[string][]string
	}{
		"a branch":                     {nil, base},
		"a deployment":                 {claim("deploymentEnvironmentUuid", env), with("deployment_environment_uuid", env)},
		"UUID without braces":          {claim("repositoryUuid", "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c"), with("repository_uuid", "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c")},
		"UUID in upper case":           {claim("workspaceUuid", "{922E118C-F34F-4226-A897-0E0AFBEC553D}"), with("workspace_uuid", "{922E118C-F34F-4226-A897-0E0AFBEC553D}")},
		"environment by name only":     {claim("deploymentEnvironment", "production"), base},
		"branch with a star":           {claim("branchName", "*"), with("branch_name", "*")},
		"branch with slashes":          {claim("branchName", "feature/a/b"), with("branch_name", "feature/a/b")},
		"branch in unicode":            {claim("branchName", "функция/größe\u200b"), with("branch_name", "функция/größe\u200b")},
		"branch of white space":        {claim("branchName", " "), with("branch_name", " ")},
		"branch absent, as with a tag": {without("branchName"), with("branch_name")},
		"branch empty":                 {claim("branchName", ""), with("branch_name")},
		"branch null":                  {claim("branchName", nil), with("branch_name")},
		"branch an array":              {claim("branchName", []string{"main"}), with("branch_name")},
		"branch a number":              {claim("branchName", 1), with("branch_name")},
		"branch a boolean":             {claim("branchName", true), with("branch_name")},
		"environment an object":        {claim("deploymentEnvironmentUuid", map[string]string{"uuid": env}), base},
		"claim in the rule's spelling": {claim("deployment_environment_uuid", env), base},
		"claim in another case":        {claim("deploymentenvironmentuuid", env), base},
		"claims of another CI":         {claim("oidc.circleci.com/project-id", issuertest.ProjectID), base},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := verify(w.mintBitbucket(t, tc.options...), w.keys, w.bitbucket(), now())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(v.Fields, tc.want) {
				t.Errorf("fields %v, want %v", v.Fields, tc.want)
			}
		})
	}
}

// A token of the other CI, signed by a key that is trusted, is no Bitbucket job.
func TestTokenOfAnotherCI(t *testing.T) {
	w := ecWorld()
	e := w.bitbucket()
	e.Issuer = w.CircleCIURL()
	expectVerdict(t, w, w.mintCircleCI(t), e, now(), token.MissingClaim, true)
	e = w.circleCI()
	e.Issuer = w.BitbucketURL()
	expectVerdict(t, w, w.mintBitbucket(t), e, now(), token.MissingClaim, true)
}
