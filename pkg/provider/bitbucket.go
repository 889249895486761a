package provider

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	bitbucketPrefix = "https://api.bitbucket.org/2.0/workspaces/"
	bitbucketSuffix = "/pipelines-config/identity/oidc"
	bitbucketPage   = "Repository settings > OpenID Connect"
	bitbucketShared = "ari:cloud:bitbucket::workspace/"
)

// Bitbucket Pipelines. Its UUIDs are in braces, and its sub is {repository}:{step} or
// {repository}:{environment}:{step}: never the same twice, so nothing is read from it.
// The environment is read from deploymentEnvironmentUuid only: the claim
// deploymentEnvironment of Atlassian's sample is a name that anyone who may edit the
// pipeline can choose, and real tokens do not have it.
func init() {
	add(&Provider{
		Method: "bitbucket",
		Name:   "Bitbucket Pipelines",
		Settings: []Setting{
			{Value: Value{Name: "identity_provider_url", Form: Issuer, Meaning: "the iss of the ID tokens, letter for letter; " + bitbucketPage},
				Missing: "copy it from " + bitbucketPage},
			{Value: Value{Name: "audience", Form: Audience, Meaning: "the aud that ID tokens must have: better the URL of your service than the workspace's default, which others share"},
				Missing: "write the audience that the pipeline asks for, or copy the default from " + bitbucketPage},
			{Value: Value{Name: GlobSetting, Form: Flag, Meaning: "* and ? in branch_name are patterns"}},
		},
		Fields: []Field{
			{Claim: "workspaceUuid", Value: bitbucketUUID("workspace_uuid", "the workspace", "UUID of the workspace, not its name; "+bitbucketPage)},
			{Claim: "repositoryUuid", Value: bitbucketUUID("repository_uuid", "the repository", "UUID of the repository, not its name; "+bitbucketPage)},
			{Claim: "deploymentEnvironmentUuid", Value: bitbucketUUID("deployment_environment_uuid", "the deployment environment",
				"UUID of the step's deployment environment; limit it to some branches in Bitbucket; "+bitbucketPage)},
			{Claim: "branchName", Glob: true, Value: Value{Name: "branch_name", Meaning: "the branch; absent when a tag is built"}},
		},
		NeedsOneOf: []string{"workspace_uuid", "repository_uuid"},
		NeedsWhy:   "it would not say whose pipelines it means",
		Issuer:     func(s *Section) string { return s.Get("identity_provider_url") },
		Audience:   func(s *Section) string { return s.Get("audience") },
		Required:   []string{"workspaceUuid", "repositoryUuid", "stepUuid"},
		Others:     []string{"accountUuid", "deploymentEnvironment", "pipelineRunUuid", "pipelineUuid"},
		Usual: func(*Section) Claims {
			nobody := "{" + nobodyUUID + "}"
			return Claims{"workspaceUuid": nobody, "repositoryUuid": nobody, "stepUuid": nobody}
		},
		LintSection: lintBitbucket,
		LintRule:    lintBitbucketRule,
		Doctor: Doctor{
			Renew:          "join early in the step, or run it again: an ID token is minted as the step starts",
			IssuerSetting:  "identity_provider_url",
			SharedAudience: func(audience string, _ Claims) bool { return strings.HasPrefix(audience, "ari:cloud:bitbucket::") },
			Look: func(c Claims) []Notice {
				if _, ok := c["deploymentEnvironmentUuid"].(string); ok {
					return nil
				}
				return []Notice{{Name: "deployment", OK: true, Text: "none: a rule with deployment_environment_uuid needs `deployment: NAME` on the step"}}
			},
		},
		New: newBitbucket(),
	})
}

const nobodyUUID = "00000000-0000-0000-0000-000000000000"

func bitbucketUUID(name, of, meaning string) Value {
	return Value{Name: name, Form: UUID, Braces: true, Of: of, Where: "in Bitbucket under " + bitbucketPage, Meaning: meaning}
}

func lintBitbucket(s *Section) (all []Advice) {
	if strings.HasPrefix(s.Get("audience"), bitbucketShared) {
		all = append(all, sharedAudience("workspace"))
	}
	if issuer := s.Get("identity_provider_url"); !strings.HasPrefix(issuer, bitbucketPrefix) {
		all = append(all, advice("identity_provider_url", "is not on Bitbucket's own host: whoever runs %s can let in any job; write %s…", host(issuer), bitbucketPrefix))
	}
	return all
}

func lintBitbucketRule(s *Section, rule Values) []Advice {
	branch := rule.Get("branch_name")
	switch anyBranch := branch == "" || s.Is(GlobSetting) && MatchesAll(branch); {
	case anyBranch && rule.Get("deployment_environment_uuid") == "":
		return []Advice{advice("", "can be used from any branch, by everyone who may push one; add deployment_environment_uuid of an environment that is limited to some branches, or branch_name")}
	case anyBranch:
		return []Advice{{Info: true, Message: "can be used from every branch that may deploy to the environment; limit it to some branches in Bitbucket"}}
	}
	return nil
}

func newBitbucket() New {
	onPage := func(address string) bool { return strings.Contains(address, "bitbucket.org/") }
	return New{
		Head: `In bitbucket-pipelines.yml, the step asks for an ID token with this audience:

  oidc: {audiences: ["{audience}"]}`,
		Audience: "The URL of the service. The workspace's default, which that page shows, is\nshared with every other service that its pipelines get tokens for.",
		Hosted:   bitbucketPrefix,
		OneOf:    [][2]string{{"environment", "branch"}},
		Questions: []Question{
			{Name: "issuer", For: "identity_provider_url", Text: "identity provider URL", Where: "in Bitbucket under " + bitbucketPage, Required: true,
				Comment: bitbucketPage + ": identity provider URL", Claims: []string{"iss"}, Tidy: tidyBitbucketIssuer},
			{Name: "workspace", For: "workspace_uuid", Text: "workspace UUID", Required: true,
				Belongs: func(address string) bool { return strings.HasPrefix(address, bitbucketShared) }},
			{Name: "repository", For: "repository_uuid", Text: "repository UUID", Required: true, Belongs: onPage},
			{Name: "environment", For: "deployment_environment_uuid", Text: "deployment environment UUID, if only its deployments may join", Belongs: onPage,
				Comment: "Limit the environment to some branches in Bitbucket, under\nRepository settings > Deployments: only then is it a gate."},
			{Name: "branch", For: "branch_name", Text: "branch, if only its pipelines may join", Tidy: tidyBranch,
				Comment: "Who may push to this branch can join. Protect it."},
		},
	}
}

var bitbucketSlug = regexp.MustCompile(`\A[a-z0-9][a-z0-9_-]*\z`)

// tidyBitbucketIssuer reads the identity provider URL, or makes it of a workspace's
// name or of the address of one of its pages.
func tidyBitbucketIssuer(pasted string) (string, error) {
	s := BareIssuer(pasted)
	if page, ok := strings.CutPrefix(s, "https://bitbucket.org/"); ok {
		s, _, _ = strings.Cut(page, "/")
	}
	if bitbucketSlug.MatchString(s) {
		s = bitbucketPrefix + s + bitbucketSuffix
	}
	workspace, ok := strings.CutPrefix(s, bitbucketPrefix)
	if workspace, ok2 := strings.CutSuffix(workspace, bitbucketSuffix); !ok || !ok2 || workspace == "" || strings.Contains(workspace, "/") {
		return "", fmt.Errorf("%q is not an identity provider URL of Bitbucket; it looks like %sWORKSPACE%s", s, bitbucketPrefix, bitbucketSuffix)
	}
	return s, nil
}
