package rules_test

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const githubYAML = `kind: token
version: v2
metadata: {name: github-bot, expires: "2100-01-01T00:00:00Z"}
spec:
  roles: [Bot]
  join_method: github
  bot_name: example
  github:
    audience: https://join.example.com
    enable_glob_matching: true
    allow:
      - repository: acme/shop
`

// push are the claims of a push to main, as GitHub documents them, with changes.
func push(pairs ...string) rules.Claims {
	c := rules.Claims{}
	base := []string{"repository", "acme/shop", "repository_id", "74", "repository_owner", "acme", "repository_owner_id", "65",
		"ref", "refs/heads/main", "ref_type", "branch", "event_name", "push", "actor", "octocat", "workflow", "deploy",
		"job_workflow_ref", "acme/shop/.github/workflows/deploy.yml@refs/heads/main", "sub", "repo:acme/shop:ref:refs/heads/main"}
	for _, list := range [][]string{base, pairs} {
		for i := 0; i < len(list); i += 2 {
			c[list[i]] = []string{list[i+1]}
		}
	}
	return c
}

// pullRequest are those of a pull request.
func pullRequest(pairs ...string) rules.Claims {
	return push(append([]string{"event_name", "pull_request", "ref", "refs/pull/7/merge", "sub", "repo:acme/shop:pull_request"}, pairs...)...)
}

func TestGitHubPolicy(t *testing.T) {
	checkDecisions(t, withRules(t, githubYAML, `
    allow:
      - {repository: acme/shop, ref: "refs/heads/release/*"}
      - {repository_id: 74, environment: production}
      - {repository_owner_id: "65", repository: acme/blog, job_workflow_ref: "acme/ci/.github/workflows/deploy.yml@refs/tags/v?"}
    deny:
      - {actor: mallory}
`), []decision{
		{"a branch", push("ref", "refs/heads/release/1"), rules.Allowed, 0, ""},
		{"an environment, from any branch", push("environment", "production"), rules.Allowed, 1, ""},
		{"a shared workflow", push("repository", "acme/blog", "job_workflow_ref", "acme/ci/.github/workflows/deploy.yml@refs/tags/v1"), rules.Allowed, 2, ""},

		{"another branch", push(), rules.NoMatch, -1, "environment job_workflow_ref ref"},
		{"a branch that ends so", push("ref", "refs/heads/x/refs/heads/release/1"), rules.NoMatch, -1, "environment job_workflow_ref ref"},
		{"a tag of the branch's name", push("ref", "refs/tags/release/1"), rules.NoMatch, -1, "environment job_workflow_ref ref"},
		{"environment in capitals", push("environment", "Production"), rules.NoMatch, -1, "environment job_workflow_ref ref"},
		{"another repository of that name", push("repository", "mallory/shop", "repository_id", "75", "environment", "production", "ref", "refs/heads/release/1"), rules.NoMatch, -1, "job_workflow_ref repository repository_id"},
		{"an id that begins so", push("repository_id", "740", "environment", "production"), rules.NoMatch, -1, "job_workflow_ref ref repository_id"},
		{"a workflow of another tag", push("repository", "acme/blog", "job_workflow_ref", "acme/ci/.github/workflows/deploy.yml@refs/tags/v10"), rules.NoMatch, -1, "environment job_workflow_ref ref"},

		{"denied, though allowed", push("ref", "refs/heads/release/1", "actor", "mallory"), rules.Denied, 0, ""},
		{"denied pull request", pullRequest("actor", "mallory"), rules.Denied, 0, ""},
	})
}

// A rule that names only the repository lets no pull request in, whoever proposed it.
func TestGitHubPullRequestsNeedARuleThatNamesTheEvent(t *testing.T) {
	target := push("event_name", "pull_request_target") // has the ref and the sub of the base branch
	for lists, tests := range map[string][]decision{
		"{repository: acme/shop}": {
			{"a push", push(), rules.Allowed, 0, ""},
			{"a schedule", push("event_name", "schedule"), rules.Allowed, 0, ""},
			{"a branch with pull in its name", push("ref", "refs/heads/pulley/1"), rules.Allowed, 0, ""},
			{"a pull request", pullRequest(), rules.NoMatch, -1, "event_name"},
			{"of an environment", pullRequest("environment", "production"), rules.NoMatch, -1, "event_name"},
			{"with the code of the base", target, rules.NoMatch, -1, "event_name"},
			{"a review", pullRequest("event_name", "pull_request_review"), rules.NoMatch, -1, "event_name"},
			{"a comment on a review", pullRequest("event_name", "pull_request_review_comment"), rules.NoMatch, -1, "event_name"},
			{"a ref of a pull request, and another event", push("ref", "refs/pull/7/head"), rules.NoMatch, -1, "event_name"},
		},
		"{repository: acme/shop, ref: refs/heads/main}":             {{"with the code of the base", target, rules.NoMatch, -1, "event_name"}},
		"{repository: acme/shop, sub: 'repo:acme/*'}":               {{"a pull request", pullRequest(), rules.NoMatch, -1, "event_name"}},
		"{repository: acme/shop, environment: production}":          {{"of an environment", pullRequest("environment", "production"), rules.NoMatch, -1, "event_name"}},
		"{repository: acme/shop, event_name: push}":                 {{"a pull request", pullRequest(), rules.NoMatch, -1, "event_name"}},
		"{repository: acme/shop, event_name: '*'}":                  {{"a pull request", pullRequest(), rules.NoMatch, -1, "event_name"}},
		"{repository: acme/shop, event_name: pull_request}":         {{"a pull request", pullRequest(), rules.Allowed, 0, ""}, {"with the code of the base", target, rules.NoMatch, -1, "event_name"}, {"a push", push(), rules.NoMatch, -1, "event_name"}},
		"{repository: acme/blog, event_name: pull_request}":         {{"of another repository", pullRequest(), rules.NoMatch, -1, "repository"}},
		"{repository_owner: acme, event_name: pull_request_target}": {{"with the code of the base", target, rules.Allowed, 0, ""}},
	} {
		checkDecisions(t, withRules(t, githubYAML, "    allow: ["+lists+"]\n"), tests)
	}
}

// TestAStarIsLiteralInAFieldThatIsNoPattern, also where globs are enabled.
func TestAStarIsLiteralInAFieldThatIsNoPattern(t *testing.T) {
	checkDecisions(t, withRules(t, githubYAML, "    allow: [{repository: acme/shop, environment: 'prod*'}, {repository: 'acme/*', event_name: 'pus?'}]\n"), []decision{
		{"an environment that the star would match", push("environment", "production"), rules.NoMatch, -1, "environment event_name"},
		{"the environment of that name", push("environment", "prod*"), rules.Allowed, 0, ""},
	})
}

// What a stranger can cause needs a rule that names the event, and so does an event that
// is not known. What takes write access to the repository does not.
func TestGitHubEventsOfStrangersNeedARuleThatNamesThem(t *testing.T) {
	trusted := []string{"push", "create", "delete", "release", "schedule", "workflow_dispatch", "repository_dispatch"}
	strangers := []string{"pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment", "pull_request_comment",
		"issue_comment", "issues", "discussion", "discussion_comment", "fork", "watch", "gollum", "workflow_run", "check_run", "check_suite", "status",
		"deployment", "deployment_status", "merge_group", "workflow_call", "an_event_of_next_year", "Push", "push ", "*"}
	for _, rule := range []string{"{repository: acme/shop}", "{repository_id: 74, ref: refs/heads/main}", "{repository_owner: acme, sub: 'repo:*'}"} {
		token := withRules(t, githubYAML, "    allow: ["+rule+"]\n")
		var tests []decision
		for _, event := range trusted {
			tests = append(tests, decision{event, push("event_name", event), rules.Allowed, 0, ""},
				decision{event + " of a pull request's ref", push("event_name", event, "ref", "refs/pull/7/merge"), rules.NoMatch, -1, unmatched(rule)})
		}
		for _, event := range strangers {
			tests = append(tests, decision{event, push("event_name", event), rules.NoMatch, -1, "event_name"})
		}
		absent, two := push(), push()
		delete(absent, "event_name")
		two["event_name"] = []string{"push", "pull_request"}
		checkDecisions(t, token, append(tests,
			decision{"no event", absent, rules.NoMatch, -1, "event_name"},
			decision{"two events", two, rules.NoMatch, -1, "event_name"}))
	}
	for _, event := range strangers[:len(strangers)-3] {
		named := withRules(t, githubYAML, "    allow: [{repository: acme/shop, event_name: "+event+"}]\n")
		checkDecisions(t, named, []decision{{event, push("event_name", event), rules.Allowed, 0, ""}, {"push", push(), rules.NoMatch, -1, "event_name"}})
	}
}

// unmatched are the fields of a rule that a push with the ref of a pull request lacks.
func unmatched(rule string) string {
	if strings.Contains(rule, "ref:") {
		return "event_name ref"
	}
	return "event_name"
}

func TestGitHubMistakesAreExplained(t *testing.T) {
	for rule, want := range map[string]string{
		"{repository: shop}":                             `"shop" is not OWNER/NAME; write it such as acme/shop`,
		"{repository: 'https://github.com/acme/shop'}":   `is not OWNER/NAME`,
		"{repository: 'acme/shop', ref: main}":           `"main" does not begin with refs/`,
		"{repository_id: shop}":                          `"shop" is not the number of the repository`,
		"{repository_id: 0}":                             `"0" is not the number of the repository`,
		"{ref: refs/heads/main}":                         "needs repository, repository_id, repository_owner or repository_owner_id; without one of them every workflow on GitHub would match",
		"{repository: acme/shop, branch_name: main}":     "is not a field here",
		"{repository: acme/shop, environment: ''}":       "is empty",
		"{repository: acme/shop, environment: }":         "has no value",
		"{repository: acme/shop, environment: [a, b]}":   "is a list; write one value",
		"{repository: acme/shop, repository: acme/blog}": "is there twice",
		"{repository: acme/shop, event_name: ' push'}":   "begins or ends with a space",
	} {
		head, _, _ := strings.Cut(githubYAML, "    allow:\n")
		_, _, err := rules.Parse("test.yaml", []byte(head+"    allow: ["+rule+"]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", rule, err, want)
		}
	}
}

func TestGitHubRoundTrip(t *testing.T) {
	token := withRules(t, githubYAML, "    allow: [{sub: 'repo:acme/*', repository_id: 74, repository: acme/shop}]\n    deny: [{event_name: push}]\n")
	sameAfterAll(t, token)
	if token.Issuer() != "https://token.actions.githubusercontent.com" || token.Audience() != "https://join.example.com" {
		t.Errorf("issuer %s, audience %s", token.Issuer(), token.Audience())
	}
	if got := token.Section().Allow[0][0]; got != (provider.Named{Name: "repository", Value: "acme/shop"}) {
		t.Errorf("the fields are not in the order of the table: %v first", got)
	}
}
