package rules

import (
	"fmt"
	"net/url"
	"strings"
)

func (l *linter) token(t *TokenRule) {
	if !l.bots[t.BotName] {
		l.find(SeverityError, "spec.bot_name", "there is no bot %q, so no job can join; create it or name another", t.BotName)
	}
	if t.Metadata.Expires.IsZero() {
		l.warn("metadata.expires", "is missing: the rule holds until somebody removes it; write when it shall end")
	}
	switch {
	case t.Bitbucket != nil:
		l.bitbucket(t.Bitbucket)
	case t.CircleCI != nil:
		l.circleCI(t.CircleCI)
	}
}

const sharedAudience = "is the %s's default, which every service that its pipelines get tokens for shares, so that one of them can use a job's token here; have the job ask for the URL of this service as the audience, and write that"

func (l *linter) bitbucket(b *Bitbucket) {
	if strings.HasPrefix(b.Audience, "ari:cloud:bitbucket::workspace/") {
		l.warn("spec.bitbucket.audience", sharedAudience, "workspace")
	}
	if !strings.HasPrefix(b.IdentityProviderURL, bitbucketPrefix) {
		l.warn("spec.bitbucket.identity_provider_url", "is not on Bitbucket's own host: whoever runs %s can let in any job; write %s…", host(b.IdentityProviderURL), bitbucketPrefix)
	}
	for i := range b.Allow {
		r, at := &b.Allow[i], fmt.Sprintf("spec.bitbucket.allow[%d]", i)
		anyBranch := r.BranchName == "" || b.EnableGlobMatching && matchesAll(r.BranchName)
		switch {
		case anyBranch && r.DeploymentEnvironmentUUID == "":
			l.warn(at, "can be used from any branch, by everyone who may push one; add deployment_environment_uuid of an environment that is limited to some branches, or branch_name")
		case anyBranch:
			l.find(SeverityInfo, at, "can be used from every branch that may deploy to the environment; limit it to some branches in Bitbucket")
		}
		l.pattern(at+"."+fieldBranchName, r.BranchName, b.EnableGlobMatching)
	}
	for i := range b.Deny {
		l.pattern(fmt.Sprintf("spec.bitbucket.deny[%d].%s", i, fieldBranchName), b.Deny[i].BranchName, b.EnableGlobMatching)
	}
}

func (l *linter) circleCI(c *CircleCI) {
	if c.Audience == "" || strings.EqualFold(c.Audience, c.OrganizationID) {
		l.warn("spec.circleci.audience", sharedAudience, "organization")
	}
	if c.Issuer != "" && c.Issuer != circleCIIssuer && !strings.HasPrefix(c.Issuer, circleCIIssuer+"/") {
		l.warn("spec.circleci.issuer", "is not on CircleCI's own host: whoever runs %s can let in any job; leave it out unless that is your CircleCI server", host(c.Issuer))
	}
	for i := range c.Allow {
		r, at := &c.Allow[i], fmt.Sprintf("spec.circleci.allow[%d]", i)
		if r.VCSOrigin == "" {
			l.warn(at, "does not name vcs_origin, the repository that the code comes from, which tells a fork from its original; add it, such as github.com/acme/shop")
		}
		l.origin(at, r.VCSOrigin, c.EnableGlobMatching)
		l.pattern(at+"."+fieldVCSOrigin, r.VCSOrigin, c.EnableGlobMatching)
		l.pattern(at+"."+fieldVCSRef, r.VCSRef, c.EnableGlobMatching)
	}
	for i := range c.Deny {
		r, at := &c.Deny[i], fmt.Sprintf("spec.circleci.deny[%d]", i)
		l.pattern(at+"."+fieldVCSOrigin, r.VCSOrigin, c.EnableGlobMatching)
		l.pattern(at+"."+fieldVCSRef, r.VCSRef, c.EnableGlobMatching)
	}
}

// pattern looks at a value that may be a glob.
func (l *linter) pattern(at, s string, globs bool) {
	switch {
	case !strings.ContainsAny(s, "*?"):
	case !globs:
		l.warn(at, "%q has * or ?, which are literal unless enable_glob_matching is true; no branch or repository has such a name", s)
	case matchesAll(s):
		l.warn(at, "%q matches everything; name what is meant, or leave the field out", s)
	}
}

// matchesAll reports whether a glob leaves nothing, or nothing of note, out.
func matchesAll(glob string) bool {
	bare := strings.TrimPrefix(strings.TrimPrefix(glob, "refs/"), "heads/")
	return strings.Contains(bare, "*") && strings.Trim(bare, "*?/") == ""
}

// origin warns of a glob that lets others' repositories in: HOST/OWNER has to be literal.
func (l *linter) origin(at, s string, globs bool) {
	first := strings.IndexAny(s, "*?")
	if !globs || first < 0 || matchesAll(s) || strings.Count(s[:first], "/") >= 2 {
		return
	}
	l.warn(at+"."+fieldVCSOrigin, "%q matches repositories of other owners, forks included; write host and owner without * and ?, such as github.com/acme/*", s)
}

func host(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return issuer
	}
	return u.Host
}
