package rules_test

import (
	"fmt"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// plainField is a row of the tables of docs/rules.md.
type plainField struct {
	name, claim string
	id          bool // compared as an id
	list        bool // any of the job's
	glob        bool
}

var plainFields = map[string][]plainField{
	"bitbucket": {
		{name: "workspace_uuid", claim: "workspaceUuid", id: true},
		{name: "repository_uuid", claim: "repositoryUuid", id: true},
		{name: "deployment_environment_uuid", claim: "deploymentEnvironmentUuid", id: true},
		{name: "branch_name", claim: "branchName", glob: true},
	},
	"circleci": {
		{name: "context_id", claim: "oidc.circleci.com/context-ids", id: true, list: true},
		{name: "project_id", claim: "oidc.circleci.com/project-id", id: true},
		{name: "pipeline_definition_id", claim: "oidc.circleci.com/pipeline-definition-id", id: true},
		{name: "vcs_origin", claim: "oidc.circleci.com/vcs-origin", glob: true},
		{name: "vcs_ref", claim: "oidc.circleci.com/vcs-ref", glob: true},
	},
	"github": {
		{name: "repository", claim: "repository"},
		{name: "repository_id", claim: "repository_id"},
		{name: "repository_owner", claim: "repository_owner"},
		{name: "repository_owner_id", claim: "repository_owner_id"},
		{name: "environment", claim: "environment"},
		{name: "ref", claim: "ref", glob: true},
		{name: "ref_type", claim: "ref_type"},
		{name: "event_name", claim: "event_name"},
		{name: "workflow", claim: "workflow"},
		{name: "job_workflow_ref", claim: "job_workflow_ref", glob: true},
		{name: "actor", claim: "actor"},
		{name: "sub", claim: "sub", glob: true},
	},
}

// plainRequired are the claims of docs/rules.md that every ID token has.
var plainRequired = map[string][]string{
	"bitbucket": {"workspaceUuid", "repositoryUuid", "stepUuid"},
	"circleci":  {"oidc.circleci.com/project-id"},
	"github":    {"repository", "repository_id", "repository_owner_id", "event_name", "run_id"},
}

// judge is docs/rules.md, "How rules match", as plainly as it can be written.
func (r plainRule) judge(job provider.Claims) string {
	for _, claim := range plainRequired[r.method] {
		if refusal := plainMissing(job, claim); refusal != "" {
			return refusal
		}
	}
	if r.method == "circleci" {
		rerun, there := job["oidc.circleci.com/ssh-rerun"]
		if there && rerun != false && r.section["allow_ssh_rerun"] != true {
			return "ssh_rerun_refused"
		}
		_, there = job["oidc.circleci.com/org-id"]
		if there || r.section["issuer"] != nil {
			if refusal := plainMissing(job, "oidc.circleci.com/org-id"); refusal != "" {
				return refusal
			}
			if plainID(job["oidc.circleci.com/org-id"].(string)) != plainID(r.section["organization_id"].(string)) {
				return "id_token_wrong_issuer"
			}
		}
	}
	for i, rule := range r.deny {
		if r.matches(rule, job) {
			return fmt.Sprintf("deny[%d]", i)
		}
	}
	for i, rule := range r.allow {
		if r.matches(rule, job) && !r.barred(rule, job) {
			return fmt.Sprintf("allow[%d]", i)
		}
	}
	return "no match"
}

func plainMissing(job provider.Claims, claim string) string {
	value, there := job[claim]
	text, isText := value.(string)
	switch {
	case !there:
		return "id_token_missing_claim"
	case !isText:
		return "id_token_malformed"
	case text == "":
		return "id_token_missing_claim"
	}
	return ""
}

// matches: all fields that the rule names, and an absent, empty or otherwise typed claim never.
func (r plainRule) matches(rule map[string]string, job provider.Claims) bool {
	left := len(rule)
	for _, f := range plainFields[r.method] {
		want, named := rule[f.name]
		if !named {
			continue
		}
		left--
		accepted := false
		for _, got := range plainTexts(f, job[f.claim]) {
			switch {
			case got == "":
			case f.id:
				accepted = accepted || plainID(want) == plainID(got)
			case f.glob && r.section["enable_glob_matching"] == true:
				accepted = accepted || plainGlob([]rune(want), []rune(got))
			default:
				accepted = accepted || want == got
			}
		}
		if !accepted {
			return false
		}
	}
	return left == 0
}

func plainTexts(f plainField, claim any) (texts []string) {
	if !f.list {
		if text, ok := claim.(string); ok {
			return []string{text}
		}
		return nil
	}
	list, _ := claim.([]any)
	for _, one := range list {
		text, ok := one.(string)
		if !ok {
			return nil // not a list of texts
		}
		texts = append(texts, text)
	}
	return texts
}

// plainID is an id in the form that is compared: in lower case, without braces around it.
func plainID(id string) string {
	id = strings.ToLower(id)
	if strings.HasPrefix(id, "{") && strings.HasSuffix(id, "}") {
		id = strings.TrimSuffix(strings.TrimPrefix(id, "{"), "}")
	}
	return id
}

func plainGlob(pattern, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '*':
		return plainGlob(pattern[1:], s) || len(s) > 0 && plainGlob(pattern, s[1:])
	}
	return len(s) > 0 && (pattern[0] == '?' || pattern[0] == s[0]) && plainGlob(pattern[1:], s[1:])
}

// barred: a job whose code a stranger may have written, and a rule that does not say so.
func (r plainRule) barred(rule map[string]string, job provider.Claims) bool {
	ref := func(claim string) bool {
		text, _ := job[claim].(string)
		return strings.HasPrefix(text, "refs/pull/") || strings.HasPrefix(text, "refs/heads/pull/")
	}
	switch r.method {
	case "circleci":
		return r.section["allow_forks"] != true && strings.Trim(rule["vcs_origin"], "*?") == "" && ref("oidc.circleci.com/vcs-ref")
	case "github":
		trusted := false
		for _, event := range []string{"push", "create", "delete", "release", "schedule", "workflow_dispatch", "repository_dispatch"} {
			trusted = trusted || job["event_name"] == event
		}
		return rule["event_name"] == "" && (!trusted || ref("ref"))
	}
	return false
}
