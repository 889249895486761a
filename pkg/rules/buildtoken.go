package rules

import (
	"fmt"
	"strings"
	"time"
)

// tokenRole is the only role of a token rule: what joins is a bot.
const tokenRole = "Bot"

// The join methods.
const (
	methodBitbucket = "bitbucket"
	methodCircleCI  = "circleci"
)

// What a token rule has unless it says otherwise.
const (
	defaultMaxJoins    = 1
	defaultMaxTokenAge = time.Hour
)

func (c *checker) token(spec *path, w *wireToken, m Metadata) *TokenRule {
	t := &TokenRule{Metadata: m, JoinMethod: string(w.JoinMethod), BotName: string(w.BotName), MaxJoins: defaultMaxJoins}
	roles, bot, joins, age := spec.field("roles"), spec.field("bot_name"), spec.field("max_joins"), spec.field("max_token_age")

	if len(w.Roles) != 1 || w.Roles[0] != tokenRole {
		c.fault(&roles, "must be exactly [Bot]; what a bot may do is written in the bot's own roles")
	}
	if w.BotName == "" {
		c.fault(&bot, "is missing; name the bot that jobs join as")
	} else {
		c.fault(&bot, checkName(t.BotName, maxBotName))
	}
	if w.MaxJoins != nil {
		t.MaxJoins = *w.MaxJoins
	}
	if t.MaxJoins < 1 || t.MaxJoins > maxJoinsLimit {
		c.fault(&joins, fmt.Sprintf("is %d; write a number from 1 to %d", t.MaxJoins, maxJoinsLimit))
	}
	if t.MaxTokenAge = c.duration(&age, w.MaxTokenAge); t.MaxTokenAge == 0 {
		t.MaxTokenAge = defaultMaxTokenAge
	}
	if t.MaxTokenAge > maxTokenAge {
		c.fault(&age, fmt.Sprintf("is %s; write at most %s", t.MaxTokenAge, maxTokenAge))
	}
	c.method(spec, w, t)
	return t
}

// method checks that the section of the join method is there, and no other.
func (c *checker) method(spec *path, w *wireToken, t *TokenRule) {
	method := spec.field("join_method")
	bitbucket, circleci := spec.field("bitbucket"), spec.field("circleci")
	switch t.JoinMethod {
	case methodBitbucket, methodCircleCI:
	case "":
		c.fault(&method, "is missing; write bitbucket or circleci")
		return
	default:
		c.fault(&method, fmt.Sprintf("%q is not supported; write bitbucket or circleci", t.JoinMethod))
		return
	}
	for _, section := range []struct {
		name  string
		at    *path
		there bool
	}{{methodBitbucket, &bitbucket, w.Bitbucket != nil}, {methodCircleCI, &circleci, w.CircleCI != nil}} {
		switch {
		case section.name == t.JoinMethod && !section.there:
			c.fault(section.at, fmt.Sprintf("is missing; join_method is %s, so write its rules here", t.JoinMethod))
		case section.name != t.JoinMethod && section.there:
			c.fault(section.at, fmt.Sprintf("join_method is %s; remove this section, or make a token rule of its own for it", t.JoinMethod))
		}
	}
	if t.JoinMethod == methodBitbucket && w.Bitbucket != nil {
		t.Bitbucket = c.bitbucket(&bitbucket, w.Bitbucket)
	}
	if t.JoinMethod == methodCircleCI && w.CircleCI != nil {
		t.CircleCI = c.circleCI(&circleci, w.CircleCI)
	}
}

func (c *checker) bitbucket(at *path, w *wireBitbucket) *Bitbucket {
	b := &Bitbucket{
		IdentityProviderURL: string(w.IdentityProviderURL),
		Audience:            string(w.Audience),
		EnableGlobMatching:  w.EnableGlobMatching,
	}
	issuer, audience, allow, deny := at.field("identity_provider_url"), at.field("audience"), at.field("allow"), at.field("deny")
	if b.IdentityProviderURL == "" {
		c.fault(&issuer, "is missing; copy it from Repository settings > OpenID Connect")
	} else {
		c.fault(&issuer, checkIssuer(b.IdentityProviderURL))
	}
	if b.Audience == "" {
		c.fault(&audience, "is missing; write the audience that the pipeline asks for, or copy the default from Repository settings > OpenID Connect")
	} else {
		c.fault(&audience, checkAudience(b.Audience))
	}
	b.Allow = buildRules(c, &allow, w.Allow, c.bitbucketRule, true)
	b.Deny = buildRules(c, &deny, w.Deny, c.bitbucketRule, false)
	return b
}

func (c *checker) bitbucketRule(at *path, w wireBitbucketRule, allow bool) BitbucketRule {
	workspace, repository, environment, branch := at.field("workspace_uuid"), at.field("repository_uuid"),
		at.field("deployment_environment_uuid"), at.field("branch_name")
	r := BitbucketRule{
		WorkspaceUUID:             c.uuid(&workspace, &workspaceUUID, w.WorkspaceUUID),
		RepositoryUUID:            c.uuid(&repository, &repositoryUUID, w.RepositoryUUID),
		DeploymentEnvironmentUUID: c.uuid(&environment, &environmentUUID, w.DeploymentEnvironmentUUID),
		BranchName:                c.pattern(&branch, w.BranchName),
	}
	switch {
	case allow && w.WorkspaceUUID == "" && w.RepositoryUUID == "":
		c.fault(at, "needs workspace_uuid or repository_uuid; without one of them it would not say whose pipelines it means")
	case w == wireBitbucketRule{}:
		c.fault(at, emptyRule)
	}
	return r
}

func (c *checker) circleCI(at *path, w *wireCircleCI) *CircleCI {
	organization, audience, issuer := at.field("organization_id"), at.field("audience"), at.field("issuer")
	allow, deny := at.field("allow"), at.field("deny")
	if w.OrganizationID == "" {
		c.fault(&organization, "is missing; write the organization's UUID, which is found "+organizationID.where)
	}
	cc := &CircleCI{
		OrganizationID:     c.uuid(&organization, &organizationID, w.OrganizationID),
		Audience:           string(w.Audience),
		Issuer:             string(w.Issuer),
		EnableGlobMatching: w.EnableGlobMatching,
		AllowSSHRerun:      w.AllowSSHRerun,
		AllowForks:         w.AllowForks,
	}
	if w.Audience != "" {
		c.fault(&audience, checkAudience(cc.Audience))
	}
	if w.Issuer != "" {
		c.fault(&issuer, checkIssuer(cc.Issuer))
	}
	cc.Allow = buildRules(c, &allow, w.Allow, c.circleCIRule, true)
	cc.Deny = buildRules(c, &deny, w.Deny, c.circleCIRule, false)
	return cc
}

func (c *checker) circleCIRule(at *path, w wireCircleCIRule, allow bool) CircleCIRule {
	context, project, definition := at.field("context_id"), at.field("project_id"), at.field("pipeline_definition_id")
	origin, ref := at.field("vcs_origin"), at.field("vcs_ref")
	r := CircleCIRule{
		ContextID:            c.uuid(&context, &contextID, w.ContextID),
		ProjectID:            c.uuid(&project, &projectID, w.ProjectID),
		PipelineDefinitionID: c.uuid(&definition, &definitionID, w.PipelineDefinitionID),
		VCSOrigin:            c.pattern(&origin, w.VCSOrigin),
		VCSRef:               c.pattern(&ref, w.VCSRef),
	}
	switch {
	case allow && w.ProjectID == "" && w.ContextID == "":
		c.fault(at, "needs project_id or context_id; without one of them every job of the organization would match")
	case w == wireCircleCIRule{}:
		c.fault(at, emptyRule)
	}
	return r
}

const emptyRule = "is empty; a rule names at least one field"

// buildRules checks the rules of one list, of which allow needs one.
func buildRules[W, R any](c *checker, at *path, list []W, check func(*path, W, bool) R, allow bool) []R {
	if allow && len(list) == 0 {
		c.fault(at, "is missing or empty; write at least one rule: no job can join without")
	}
	var out []R
	for i := range c.count(at, len(list), maxRules, "rules") {
		element := at.element(i)
		out = append(out, check(&element, list[i], allow))
	}
	return out
}

// pattern checks a value that a claim is compared with, or a glob.
func (c *checker) pattern(at *path, s text) string {
	if s != "" {
		c.fault(at, checkPrintable(string(s), maxField))
	}
	return string(s)
}

func checkAudience(s string) string {
	if problem := checkPrintable(s, maxValue); problem != "" {
		return problem
	}
	if strings.Contains(s, "*") {
		return fmt.Sprintf("%q has a *; an audience is one exact value", s)
	}
	return ""
}
