package token

import (
	"slices"
	"strings"
)

// circlePrefix begins the names of CircleCI's own claims.
const circlePrefix = "oidc.circleci.com/"

// circleCI is CircleCI, cloud and server. Its tokens of version 1 and 2 differ
// in sub alone, of which nothing is read.
type circleCI struct{}

func (circleCI) fields(c claims) map[string][]string {
	fields := readFields(c, []ruleField{
		{"project_id", circlePrefix + "project-id"},
		{"pipeline_definition_id", circlePrefix + "pipeline-definition-id"},
		{"vcs_origin", circlePrefix + "vcs-origin"},
		{"vcs_ref", circlePrefix + "vcs-ref"},
	})
	contexts, _ := stringList(c[circlePrefix+"context-ids"])
	contexts = slices.DeleteFunc(contexts, func(id string) bool { return id == "" })
	if len(contexts) > 0 {
		fields["context_id"] = contexts
	}
	return fields
}

func (circleCI) check(c claims, e Expect) error {
	// The same issuer signs tokens that are no job's, such as those of audit log
	// streaming; only jobs have a project.
	if err := requireText(c, circlePrefix+"project-id"); err != nil {
		return err
	}
	if err := checkSSHRerun(c, e); err != nil {
		return err
	}
	return checkOrganization(c, e)
}

// checkSSHRerun refuses jobs that a person re-ran to log in to: whoever did so
// can read the job's token and use it for anything.
func checkSSHRerun(c claims, e Expect) error {
	rerun, ok := c[circlePrefix+"ssh-rerun"]
	if !ok || rerun == false || e.AllowSSHRerun {
		return nil
	}
	return refuse(SSHRerunRefused, "this job was re-run with SSH, so that a person can use its ID token; "+
		"run it again without SSH, or ask an administrator to set allow_ssh_rerun in the token rule")
}

// checkOrganization matters where one issuer serves several organizations, as
// a CircleCI server does; there the claim is required.
func checkOrganization(c claims, e Expect) error {
	const name = circlePrefix + "org-id"
	if _, ok := c[name]; !ok && !e.RequireOrgID {
		return nil
	}
	id, err := c.text(name)
	if err != nil {
		return err
	}
	if !strings.EqualFold(id, e.OrganizationID) {
		return refuse(WrongIssuer, "the ID token was minted for a job of another organization than its token rule names; "+
			"check that the job runs in the right organization, and that it joins by the right token rule")
	}
	return nil
}
