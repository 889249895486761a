package provider

import (
	"slices"
	"strings"
)

const githubIssuer = "https://token.actions.githubusercontent.com"

// githubTrusted are the events that only those can cause who may write to the
// repository, and that run the code that is in it. An event that is not known is none
// of them, and neither is merge_group: its code is not merged yet.
var githubTrusted = []string{"push", "create", "delete", "release", "schedule", "workflow_dispatch", "repository_dispatch"}

// GitHub Actions, on github.com. Its sub can be set to other forms by an organization,
// so rules test the claims that it is made of.
func init() {
	add(&Provider{
		Method: "github",
		Name:   "GitHub Actions",
		Settings: []Setting{
			{Value: Value{Name: "audience", Form: Audience, Meaning: "the aud that ID tokens must have: the URL of your service, which the client asks for"},
				Missing: "write the URL of this service, which the job asks its ID token for"},
			{Value: Value{Name: GlobSetting, Form: Flag, Meaning: "* and ? in ref, sub and job_workflow_ref are patterns"}},
		},
		Fields: []Field{
			{Claim: "repository", Value: Value{Name: "repository", Pattern: `[^/:]+/[^/:]+`, Mistake: "is not OWNER/NAME; write it such as acme/shop",
				Meaning: "OWNER/NAME of the repository; add repository_id, since a name can be given to another"}},
			{Claim: "repository_id", Value: githubID("repository_id", "the repository", "number of the repository, which it keeps when it is renamed")},
			{Claim: "repository_owner", Value: Value{Name: "repository_owner", Meaning: "user or organization that the repository is in"}},
			{Claim: "repository_owner_id", Value: githubID("repository_owner_id", "the owner", "number of the user or organization that the repository is in")},
			{Claim: "environment", Value: Value{Name: "environment", Meaning: "environment of the job; limit it to some branches in GitHub"}},
			{Claim: "ref", Glob: true, Value: Value{Name: "ref", Pattern: `(refs/|\*).*`, Mistake: "does not begin with refs/; write a branch as refs/heads/main and a tag as refs/tags/v1",
				Meaning: "branch or tag, such as refs/heads/main"}},
			{Claim: "ref_type", Value: Value{Name: "ref_type", Meaning: "branch or tag"}},
			{Claim: "event_name", Value: Value{Name: "event_name", Meaning: "what started the workflow, such as push; only a rule with it lets in what strangers can start"}},
			{Claim: "workflow", Value: Value{Name: "workflow", Meaning: "name of the workflow, which who may change it chooses"}},
			{Claim: "job_workflow_ref", Glob: true, Value: Value{Name: "job_workflow_ref", Meaning: "file of the job's workflow, such as acme/shop/.github/workflows/deploy.yml@refs/heads/main"}},
			{Claim: "actor", Value: Value{Name: "actor", Meaning: "account that started the workflow"}},
			{Claim: "sub", Glob: true, Value: Value{Name: "sub", Meaning: "the whole subject, such as repo:acme/shop:environment:production"}},
		},
		NeedsOneOf: []string{"repository", "repository_id", "repository_owner", "repository_owner_id"},
		NeedsWhy:   "every workflow on GitHub would match",
		Issuer:     func(*Section) string { return githubIssuer },
		Audience:   func(s *Section) string { return s.Get("audience") },
		Mints:      true,
		Required:   []string{"repository", "repository_id", "repository_owner_id", "event_name", "run_id"},
		Others: []string{"actor_id", "base_ref", "check_run_id", "enterprise", "enterprise_id", "environment_node_id", "head_ref", "job_workflow_sha",
			"ref_protected", "repository_visibility", "run_attempt", "run_number", "runner_environment", "sha", "workflow_ref", "workflow_sha"},
		Usual: func(*Section) Claims {
			return Claims{"repository": "nobody/nothing", "repository_id": "1", "repository_owner_id": "1", "event_name": "push", "run_id": "1"}
		},
		// Anybody can propose the code of a pull request, and start a workflow of the default
		// branch by a comment, an issue or a fork. A pull_request_target has the ref of the
		// branch that it is proposed for, and a workflow_run that of the default branch.
		Guard: &Guard{
			Field:    "event_name",
			Jobs:     "a job of a pull request's ref, or of an event other than " + strings.Join(githubTrusted, ", "),
			Why:      "a rule that names event_name: anybody can start a job in this way, or may have proposed its code",
			Suspects: suspectGitHub,
		},
		LintRule: lintGitHubRule,
		Doctor: Doctor{
			Renew:          "run the job again, or let it join anew: an ID token is minted for each join",
			SharedAudience: func(audience string, _ Claims) bool { return strings.HasPrefix(audience, "https://github.com/") },
		},
		New: New{
			Head:     "In the workflow, the job needs this permission, and the client asks for the audience:\n\n  permissions: {id-token: write}",
			Audience: "The URL of the service.",
			Hosted:   githubIssuer,
			OneOf:    [][2]string{{"environment", "ref"}},
			Questions: []Question{
				{Name: "repository", For: "repository", Text: "repository, as OWNER/NAME", Where: "in the address of the repository", Required: true},
				{Name: "environment", For: "environment", Text: "environment, if only its deployments may join", Comment: "Limit the environment to some branches in GitHub: only then is it a gate."},
				{Name: "ref", For: "ref", Text: "branch, if only its workflows may join", Tidy: tidyRef, Comment: "Who may push to this branch can join. Protect it."},
			},
		},
	})
}

func suspectGitHub(job map[string][]string) bool {
	event := job["event_name"]
	return len(event) != 1 || !slices.Contains(githubTrusted, event[0]) || anyPullRequest(job["ref"])
}

func githubID(name, of, meaning string) Value {
	return Value{Name: name, Form: Number, Of: of, Where: "in what `gatepass doctor` prints in a job, or by `gh api repos/OWNER/NAME`", Meaning: meaning}
}

func lintGitHubRule(s *Section, rule Values) []Advice {
	ref := rule.Get("ref")
	if rule.Get("environment") == "" && (ref == "" || s.Is(GlobSetting) && MatchesAll(ref)) {
		return []Advice{advice("", "can be used from any branch, by everyone who may push one; add environment, of one that is limited to some branches, or ref")}
	}
	return nil
}
