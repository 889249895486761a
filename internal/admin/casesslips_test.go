package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const circleRules = `
---
kind: token
version: v2
metadata: {name: c}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    allow: [{context_id: 00000000-0000-0000-0000-000000000002, vcs_origin: github.com/acme/shop}]
`

// A case of what must not get in cannot pass because of a slip: it fails, or says that it
// shows nothing.
func TestSlipsInCases(t *testing.T) {
	docs, _, err := rules.Parse("rules.yaml", []byte(fuzzRules+circleRules))
	if err != nil {
		t.Fatal(err)
	}
	var resources []rules.Resource
	for _, d := range docs {
		resources = append(resources, d.Resource)
	}
	static, err := admin.NewStatic(resources)
	if err != nil {
		t.Fatal(err)
	}
	const workspace = `"{922e118c-f34f-4226-a897-0e0afbec553d}"`
	const context = `00000000-0000-0000-0000-000000000002`
	files := map[string]string{
		"real.json": `{"workspaceUuid": ` + workspace + `, "branchName": "x", "somethingNew": 1}`,
		"slip.json": `{"workspaceUuid": ` + workspace + `, "branch_nmae": "x"}`,
	}
	for name, c := range map[string]struct{ defaults, of, problem, note string }{
		"no slip":                     {"", "claims: {workspaceUuid: " + workspace + ", branchName: dev}, want: no_rule_matched", "", ""},
		"a field for its claim":       {"", "claims: {workspace_uuid: " + workspace + ", branch_name: main}, want: join", "", ""},
		"a field that differs":        {"", "claims: {workspaceUuid: " + workspace + ", branch_name: dev}, want: no_rule_matched", "", ""},
		"a field beside its claim":    {"", "claims: {branch_name: dev, branchName: main}, want: no_rule_matched", "claims.branch_name is the claim branchName, which is there too", ""},
		"a claim misspelt":            {"", "claims: {workspaceUuid: " + workspace + ", branchNmae: dev}, want: no_rule_matched", "claims.branchNmae: ID tokens of Bitbucket Pipelines have no such claim; did you mean branchName?", ""},
		"a field misspelt":            {"", "claims: {brnach_name: dev}, want: no_rule_matched", "did you mean branch_name?", ""},
		"a claim that nothing is":     {"", "claims: {colour: red}, want: no_rule_matched", "claims.colour: ID tokens of Bitbucket Pipelines have no such claim", ""},
		"of another CI":               {"", "claims: {vcs_origin: x}, want: no_rule_matched", "claims.vcs_origin: ID tokens of Bitbucket", ""},
		"in another refusal":          {"", "claims: {stepUuid: null, audd: x}, want: id_token_missing_claim", "claims.audd: ", ""},
		"in the defaults":             {"{branhcName: dev}", "want: no_rule_matched", "defaults.claims.branhcName: ", ""},
		"defaults for another CI":     {"{vcs_origin: x, oidc.circleci.com/job-id: y, branchName: dev}", "want: no_rule_matched", "", ""},
		"nothing given":               {"", "want: no_rule_matched", "", "it would pass with no claims at all"},
		"only what matches is given":  {"", "claims: {workspaceUuid: " + workspace + "}, want: no_rule_matched", "", "it would pass with no claims at all"},
		"null is given":               {"", "claims: {workspaceUuid: " + workspace + ", branchName: null}, want: no_rule_matched", "", ""},
		"null of a field":             {"", "claims: {workspace_uuid: " + workspace + ", branch_name: null}, want: no_rule_matched", "", ""},
		"no such rule":                {"", "token: tt, want: token_not_found", "", "token/tt does not exist"},
		"a real token":                {"", "claims_file: real.json, want: no_rule_matched", "", ""},
		"a slip in a file":            {"", "claims_file: slip.json, want: no_rule_matched", "slip.json.branch_nmae: ", ""},
		"a list of one by its field":  {"", "token: c, claims: {context_id: " + context + ", vcs_origin: github.com/acme/shop}, want: join", "", ""},
		"a list by its field":         {"", "token: c, claims: {context_id: [x, " + context + "], vcs_origin: github.com/acme/shop}, want: join", "", ""},
		"without the claim's prefix":  {"", "token: c, claims: {vcs-ref: x}, want: no_rule_matched", "did you mean oidc.circleci.com/vcs-ref?", ""},
		"a claim that no field tests": {"", "token: c, claims: {oidc.circleci.com/workflow-id: x, context_id: y}, want: no_rule_matched", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := "defaults: {token: t, claims: " + c.defaults + "}\ncases: [{name: x, " + c.of + "}]"
			if c.defaults == "" {
				text = "defaults: {token: t}\ncases: [{name: x, " + c.of + "}]"
			}
			file, err := admin.ParseCases("f.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			results, err := admin.CaseConfig{Reasons: static, Now: time.Unix(1767225600, 0), ReadFile: func(name string) ([]byte, error) { return []byte(files[name]), nil }}.Run(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			problems, notes := strings.Join(results[0].Problems, "\n"), strings.Join(results[0].Notes, "\n")
			if !strings.Contains(problems, c.problem) || (problems == "") != (c.problem == "") {
				t.Errorf("problems %q, want %q", problems, c.problem)
			}
			if !strings.Contains(notes, c.note) || (notes == "") != (c.note == "") {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
		})
	}
}

// Each claim of a CI's true tokens is known: a case may have it.
func TestClaimsOfTrueTokensAreKnown(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	bitbucket, err := issuer.Bitbucket(issuertest.BitbucketJob{DeploymentEnvironmentUUID: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"})
	if err != nil {
		t.Fatal(err)
	}
	circle, err := issuer.CircleCI(issuertest.CircleCIJob{})
	if err != nil {
		t.Fatal(err)
	}
	github, err := issuer.GitHub(issuertest.GitHubJob{Environment: "production"})
	if err != nil {
		t.Fatal(err)
	}
	for method, idToken := range map[string]string{"bitbucket": bitbucket, "circleci": circle, "github": github} {
		parsed, err := token.Parse(idToken)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := parsed.Unverified(method)
		if err != nil {
			t.Fatal(err)
		}
		known := strings.Join(provider.Of(method).ClaimNames(), "\n") + "\n"
		for name := range claims.Claims {
			if !strings.Contains(known, name+"\n") {
				t.Errorf("%s: the claim %s is not known", method, name)
			}
		}
	}
}
