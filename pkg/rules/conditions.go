package rules

import (
	"slices"
	"strings"
)

// The fields of rules, by which Claims go.
const (
	fieldWorkspaceUUID   = "workspace_uuid"
	fieldRepositoryUUID  = "repository_uuid"
	fieldEnvironmentUUID = "deployment_environment_uuid"
	fieldBranchName      = "branch_name"

	fieldContextID    = "context_id"
	fieldProjectID    = "project_id"
	fieldDefinitionID = "pipeline_definition_id"
	fieldVCSOrigin    = "vcs_origin"
	fieldVCSRef       = "vcs_ref"
)

// condition is one field of a rule.
type condition struct {
	field string
	want  string // "" if the rule does not name the field
	how   comparison
}

// conditions are all fields that a rule can name.
type conditions [5]condition

type comparison int

const (
	exactly comparison = iota
	asID               // without regard to case and braces
	asAnyID            // the same, of several values that the claim may have
	asGlob
)

// ruleList is one of the two lists of rules of a token.
type ruleList int

const (
	allowRules ruleList = iota
	denyRules
)

// accepts reports whether the claim has the value that the rule wants. Several
// values where one is due allow nothing, and deny if any of them does.
func (c condition) accepts(got []string, list ruleList) bool {
	if len(got) > 1 && c.how != asAnyID && list == allowRules {
		return false
	}
	return slices.ContainsFunc(got, c.acceptsValue)
}

func (c condition) acceptsValue(got string) bool {
	switch {
	case got == "":
		return false
	case c.how == asGlob:
		return globMatch(c.want, got)
	case c.how == asID || c.how == asAnyID:
		return strings.EqualFold(trimBraces(c.want), trimBraces(got))
	}
	return c.want == got
}

// count returns how many rules a list has; none if the token has no known method.
func (t *TokenRule) count(list ruleList) int {
	switch {
	case t.JoinMethod == methodBitbucket && t.Bitbucket != nil:
		return len(t.Bitbucket.rules(list))
	case t.JoinMethod == methodCircleCI && t.CircleCI != nil:
		return len(t.CircleCI.rules(list))
	}
	return 0
}

// conditions returns the fields of a rule; i is below count.
func (t *TokenRule) conditions(list ruleList, i int) conditions {
	if t.JoinMethod == methodBitbucket {
		r, text := &t.Bitbucket.rules(list)[i], textComparison(t.Bitbucket.EnableGlobMatching)
		return conditions{
			{fieldWorkspaceUUID, r.WorkspaceUUID, asID},
			{fieldRepositoryUUID, r.RepositoryUUID, asID},
			{fieldEnvironmentUUID, r.DeploymentEnvironmentUUID, asID},
			{fieldBranchName, r.BranchName, text},
		}
	}
	r, text := &t.CircleCI.rules(list)[i], textComparison(t.CircleCI.EnableGlobMatching)
	return conditions{
		{fieldContextID, r.ContextID, asAnyID},
		{fieldProjectID, r.ProjectID, asID},
		{fieldDefinitionID, r.PipelineDefinitionID, asID},
		{fieldVCSOrigin, r.VCSOrigin, text},
		{fieldVCSRef, r.VCSRef, text},
	}
}

func textComparison(globs bool) comparison {
	if globs {
		return asGlob
	}
	return exactly
}

func (b *Bitbucket) rules(list ruleList) []BitbucketRule {
	if list == denyRules {
		return b.Deny
	}
	return b.Allow
}

func (c *CircleCI) rules(list ruleList) []CircleCIRule {
	if list == denyRules {
		return c.Deny
	}
	return c.Allow
}

// Fields returns the names of the fields that rules of the token's method can
// test, in the order of docs/rules.md.
func (t *TokenRule) Fields() []string {
	switch t.JoinMethod {
	case methodBitbucket:
		return []string{fieldWorkspaceUUID, fieldRepositoryUUID, fieldEnvironmentUUID, fieldBranchName}
	case methodCircleCI:
		return []string{fieldContextID, fieldProjectID, fieldDefinitionID, fieldVCSOrigin, fieldVCSRef}
	}
	return nil
}
