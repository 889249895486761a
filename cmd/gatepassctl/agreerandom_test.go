package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// chance makes rules and jobs of few values, so that they often nearly match.
type chance struct{ *rand.Rand }

func (c chance) one(list []string) string { return list[c.IntN(len(list))] }

const (
	otherUUID = "{0b0f4b7e-f34f-4226-a897-0e0afbec553d}"
	ofCircle  = "oidc.circleci.com/"
)

// bitbucketValues and circleValues are what fields of rules ask for.
func bitbucketValues() map[string][]string {
	return map[string][]string{
		"workspace_uuid": {issuertest.WorkspaceUUID, otherUUID}, "repository_uuid": {issuertest.RepositoryUUID, strings.ToUpper(otherUUID)},
		"deployment_environment_uuid": {otherUUID}, "branch_name": {"main", "m*", "release/?", "*", "Main"},
	}
}

func circleValues() map[string][]string {
	other := strings.Trim(otherUUID, "{}")
	return map[string][]string{
		"project_id": {issuertest.ProjectID, other}, "context_id": {issuertest.ContextID, other}, "pipeline_definition_id": {issuertest.PipelineDefinitionID, other},
		"vcs_origin": {"github.com/acme/shop", "github.com/acme/*", "github.com/*"}, "vcs_ref": {"refs/heads/main", "refs/heads/*", "refs/pull/*", "refs/tags/v?"},
	}
}

// list is a list of random rules.
func (c chance) list(values map[string][]string, least int, required ...string) string {
	var all []string
	for range least + c.IntN(3) {
		rule := map[string]string{}
		if len(required) > 0 {
			name := c.one(required)
			rule[name] = c.one(values[name])
		}
		for name := range values {
			if c.IntN(4) == 0 || len(rule) == 0 {
				rule[name] = c.one(values[name])
			}
		}
		text, _ := json.Marshal(rule) // a map of strings is always JSON
		all = append(all, string(text))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// rules are n token rules of each system; names of CircleCI's say so.
func (c chance) rules(issuer *issuertest.Issuer, n int) (names []string, text string) {
	text = agreeRules
	spec := func(name, method, section string) {
		names = append(names, name)
		text += fmt.Sprintf("---\n{kind: token, version: v2, metadata: {name: %s}, spec: {roles: [Bot], join_method: %s, bot_name: %s, %s: {enable_glob_matching: %t, %s}}}\n",
			name, method, c.one([]string{"example", "example", "locked", "nothing", "half", "nobody"}), method, c.IntN(2) == 0, section)
	}
	for i := range n {
		spec(fmt.Sprintf("bucket-%d", i), "bitbucket", fmt.Sprintf("identity_provider_url: '%s', audience: 'ari:cloud:bitbucket::workspace/%s', allow: %s, deny: %s",
			issuer.BitbucketURL(), strings.Trim(issuertest.WorkspaceUUID, "{}"), c.list(bitbucketValues(), 1, "workspace_uuid", "repository_uuid"), c.list(bitbucketValues(), 0)))
		spec(fmt.Sprintf("circle-%d", i), "circleci", fmt.Sprintf("organization_id: %s, allow_ssh_rerun: %t, allow_forks: %t, allow: %s, deny: %s",
			issuertest.OrganizationID, c.IntN(2) == 0, c.IntN(2) == 0, c.list(circleValues(), 1, "project_id", "context_id"), c.list(circleValues(), 0)))
	}
	return names, text
}

// job is an ID token, whose claims are often what they should not be.
func (c chance) job(issuer *issuertest.Issuer, circle bool) (string, error) {
	odd := []any{"", nil, 7, true, []string{}, []string{"main"}, map[string]any{"a": 1}, " main", "main\x00", "MAIN", strings.Repeat("x", 600)}
	claims := []string{"workspaceUuid", "repositoryUuid", "deploymentEnvironmentUuid", "branchName", "stepUuid", "azp"}
	values := []string{issuertest.WorkspaceUUID, issuertest.RepositoryUUID, otherUUID, "main", "release/1", strings.ToUpper(issuertest.WorkspaceUUID), strings.Trim(issuertest.RepositoryUUID, "{}")}
	if circle {
		claims = []string{ofCircle + "project-id", ofCircle + "context-ids", ofCircle + "vcs-origin", ofCircle + "vcs-ref", ofCircle + "ssh-rerun", ofCircle + "org-id", ofCircle + "pipeline-definition-id"}
		values = []string{issuertest.ProjectID, issuertest.ContextID, issuertest.OrganizationID, "github.com/acme/shop", "github.com/evil/shop", "refs/heads/main", "refs/pull/1/head", "refs/heads/pull/2", "refs/tags/v1"}
	}
	var options []issuertest.Option
	for range c.IntN(3) {
		name := c.one(claims)
		switch c.IntN(4) {
		case 0:
			options = append(options, issuertest.WithoutClaim(name))
		case 1:
			options = append(options, issuertest.WithClaim(name, odd[c.IntN(len(odd))]))
		case 2:
			options = append(options, issuertest.WithClaim(name, []string{c.one(values), c.one(values)}))
		default:
			options = append(options, issuertest.WithClaim(name, c.one(values)))
		}
	}
	if circle {
		return issuer.CircleCI(issuertest.CircleCIJob{SSHRerun: c.IntN(6) == 0}, options...)
	}
	return issuer.Bitbucket(issuertest.BitbucketJob{BranchName: c.one([]string{"main", "release/1", "feature"})}, options...)
}

// lacking tells whether an ID token lacks a claim that every job has, and that test
// therefore adds to those of a case, or has one that is null, which takes it away there.
func lacking(t *testing.T, payload []byte) bool {
	t.Helper()
	var claims map[string]any
	must(t, json.Unmarshal(payload, &claims))
	usual := []string{"workspaceUuid", "repositoryUuid", "stepUuid"}
	if strings.Contains(claims["iss"].(string), "circleci") {
		usual = []string{ofCircle + "org-id", ofCircle + "project-id"}
	}
	for _, name := range usual {
		if _, ok := claims[name]; !ok {
			return true
		}
	}
	for _, v := range claims {
		if v == nil {
			return true
		}
	}
	return false
}

// Whatever the rules and the claims are, explain and test say what the service says.
func TestReasonsAgreeWithTheServiceByChance(t *testing.T) {
	issuer, err := issuertest.New(issuertest.Config{Offline: true})
	must(t, err)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := chance{rand.New(rand.NewPCG(seed, 0))}
	names, text := c.rules(issuer, 20)
	url, reasons := agreeService(t, issuer, text)
	codes := map[string]int{}
	for range 300 {
		name := c.one(names)
		idToken, err := c.job(issuer, strings.HasPrefix(name, "circle"))
		must(t, err)
		status, answer, err := askToJoin(url, name, idToken)
		must(t, err)
		var problem struct{ Code, Detail string }
		must(t, json.Unmarshal(answer, &problem))
		if status == http.StatusOK {
			problem.Code = "ok"
		}
		codes[problem.Code]++
		e, err := admin.Explain(t.Context(), reasons, admin.Question{Token: name, IDToken: idToken, Now: time.Now(), Wishes: []rules.Wish{{Type: "ssh"}}})
		must(t, err)
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(idToken, ".")[1])
		must(t, err)
		if e.Code != problem.Code {
			t.Errorf("%s: explain says %s, and the service %s: %s\n%s\n%+v", name, e.Code, problem.Code, problem.Detail, payload, e.Checks)
		}
		if lacking(t, payload) {
			continue
		}
		config := admin.CaseConfig{Reasons: reasons, Now: time.Now(), ReadFile: func(string) ([]byte, error) { return payload, nil }}
		results, err := config.Run(t.Context(), &admin.CaseFile{Cases: []admin.Case{{
			Name: "x", Token: name, ClaimsFile: "x", Credentials: []admin.CaseCredential{{Type: "ssh"}}, Want: admin.WantJoin,
		}}})
		must(t, err)
		if got := strings.Replace(results[0].Got, admin.WantJoin, "ok", 1); got != problem.Code {
			t.Errorf("%s: test says %s, and the service %s: %s\n%s", name, got, problem.Code, problem.Detail, payload)
		}
	}
	if len(codes) < 6 || codes["ok"] == 0 {
		t.Errorf("only these codes were seen: %v", codes)
	}
}
