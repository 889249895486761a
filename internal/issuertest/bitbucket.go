package issuertest

import (
	"strings"

	"github.com/google/uuid"
)

// BitbucketJob is a step of Bitbucket Pipelines. What is empty gets the
// constants of this package, and StepUUID and PipelineUUID new ones, so that no
// two tokens are the same. UUIDs are in braces.
type BitbucketJob struct {
	WorkspaceUUID, RepositoryUUID, PipelineUUID, StepUUID, AccountUUID string
	// DeploymentEnvironmentUUID is empty for a step that deploys nowhere.
	DeploymentEnvironmentUUID string
	// BranchName is main if empty. A build of a tag has none: see WithoutClaim.
	BranchName string
	// Audience is the workspace's default if empty.
	Audience []string
}

// Bitbucket mints the token of a step, as in BITBUCKET_STEP_OIDC_TOKEN.
func (i *Issuer) Bitbucket(job BitbucketJob, options ...Option) (string, error) {
	workspace := or(job.WorkspaceUUID, WorkspaceUUID)
	repository := or(job.RepositoryUUID, RepositoryUUID)
	step := or(job.StepUUID, newBracedUUID())
	claims := map[string]any{
		"iss":            i.BitbucketURL(),
		"aud":            "ari:cloud:bitbucket::workspace/" + strings.Trim(workspace, "{}"),
		"sub":            repository + ":" + step,
		"workspaceUuid":  workspace,
		"repositoryUuid": repository,
		"pipelineUuid":   or(job.PipelineUUID, newBracedUUID()),
		"stepUuid":       step,
		"accountUuid":    or(job.AccountUUID, "{3bb5b1ff-0b0f-4b7e-8a4f-6a2f6fc0c5f1}"),
		"branchName":     or(job.BranchName, "main"),
	}
	if env := job.DeploymentEnvironmentUUID; env != "" {
		claims["deploymentEnvironmentUuid"] = env
		claims["sub"] = repository + ":" + env + ":" + step
	}
	if len(job.Audience) > 0 {
		claims["aud"] = audienceClaim(job.Audience)
	}
	return i.mint(claims, options)
}

func newBracedUUID() string { return "{" + uuid.NewString() + "}" }
