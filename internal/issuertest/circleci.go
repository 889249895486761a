package issuertest

import "github.com/google/uuid"

// CircleCIJob is a job of CircleCI. What is empty gets the constants of this
// package. JobID, PipelineID and WorkflowID that are empty are those of another job for each
// token. A job that mints more than one is NewCircleCIJob's: CircleCI's tokens have no jti,
// so those of one job and one second are the same.
type CircleCIJob struct {
	OrganizationID, ProjectID, PipelineDefinitionID string
	JobID, PipelineID, WorkflowID, UserID           string
	// ContextIDs is the constant's one context if nil; a job without contexts has
	// an empty list.
	ContextIDs []string
	// VCSOrigin and VCSRef are github.com/acme/shop and refs/heads/main if empty.
	// A pipeline that a webhook triggered has none: see CustomWebhook.
	VCSOrigin, VCSRef string
	// CustomWebhook leaves VCSOrigin and VCSRef out.
	CustomWebhook bool
	// SSHRerun says that a person re-ran the job to log in to it.
	SSHRerun bool
	// V1 mints what is in CIRCLE_OIDC_TOKEN, instead of CIRCLE_OIDC_TOKEN_V2.
	V1 bool
	// Audience is the organization's id if empty.
	Audience []string
}

// NewCircleCIJob is one job, whatever is minted for it.
func NewCircleCIJob() CircleCIJob {
	return CircleCIJob{JobID: uuid.NewString(), PipelineID: uuid.NewString(), WorkflowID: uuid.NewString()}
}

// CircleCI mints the token of a job.
func (i *Issuer) CircleCI(job CircleCIJob, options ...Option) (string, error) {
	const prefix = "oidc.circleci.com/"
	org := or(job.OrganizationID, i.config.OrganizationID)
	project := or(job.ProjectID, ProjectID)
	contexts := job.ContextIDs
	if contexts == nil {
		contexts = []string{ContextID}
	}
	sub := "org/" + org + "/project/" + project + "/user/" + or(job.UserID, "00000000-0000-0000-0000-000000000005")
	claims := map[string]any{
		"iss":                             i.CircleCIURL(),
		"aud":                             org,
		"sub":                             sub,
		prefix + "context-ids":            contexts,
		prefix + "org-id":                 org,
		prefix + "project-id":             project,
		prefix + "pipeline-definition-id": or(job.PipelineDefinitionID, PipelineDefinitionID),
		prefix + "job-id":                 or(job.JobID, uuid.NewString()),
		prefix + "pipeline-id":            or(job.PipelineID, uuid.NewString()),
		prefix + "workflow-id":            or(job.WorkflowID, uuid.NewString()),
		prefix + "ssh-rerun":              job.SSHRerun,
	}
	if !job.CustomWebhook {
		origin, ref := or(job.VCSOrigin, "github.com/acme/shop"), or(job.VCSRef, "refs/heads/main")
		claims[prefix+"vcs-origin"], claims[prefix+"vcs-ref"] = origin, ref
		if !job.V1 {
			claims["sub"] = sub + "/vcs-origin/" + origin + "/vcs-ref/" + ref
		}
	}
	if len(job.Audience) > 0 {
		claims["aud"] = audienceClaim(job.Audience)
	}
	return i.mint(claims, options)
}
