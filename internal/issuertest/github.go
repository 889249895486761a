package issuertest

import (
	"maps"
	"strconv"

	"github.com/google/uuid"
)

// GitHubURL is the issuer of all tokens of GitHub Actions on github.com. It is never
// served: its keys are pinned where a test needs them.
const GitHubURL = "https://token.actions.githubusercontent.com"

// GitHubJob is a job of GitHub Actions. What is empty is a push to main of acme/shop,
// and RunID a new one, so that no two tokens are the same.
type GitHubJob struct {
	Repository, RepositoryID, Owner, OwnerID string
	// Environment is empty for a job that names none.
	Environment string
	Event, Ref  string
	Actor       string
	// Head and Base are the branches of a pull request.
	Head, Base string
	RunID      string
	// Audience is the owner's address if empty.
	Audience string
}

// GitHub mints the token of a job, with the claims of GitHub's own documentation
// (OpenID Connect reference).
func (i *Issuer) GitHub(job GitHubJob, options ...Option) (string, error) {
	owner, repository := or(job.Owner, "acme"), or(job.Repository, "acme/shop")
	event, ref := or(job.Event, "push"), or(job.Ref, "refs/heads/main")
	sub := "repo:" + repository
	switch {
	case job.Environment != "":
		sub += ":environment:" + job.Environment
	case event == "pull_request":
		sub += ":pull_request"
	default:
		sub += ":ref:" + ref
	}
	claims := map[string]any{
		"jti": uuid.NewString(), "iss": GitHubURL, "aud": or(job.Audience, "https://github.com/"+owner), "sub": sub,
		"repository": repository, "repository_id": or(job.RepositoryID, "74"),
		"repository_owner": owner, "repository_owner_id": or(job.OwnerID, "65"),
		"repository_visibility": "private", "ref": ref, "ref_type": "branch", "ref_protected": "true",
		"event_name": event, "head_ref": job.Head, "base_ref": job.Base, "sha": "0f1d2c3b4a5968778695a4b3c2d1e0f00f1d2c3b",
		"actor": or(job.Actor, "octocat"), "actor_id": "12", "workflow": "deploy",
		"workflow_ref": repository + "/.github/workflows/deploy.yml@" + ref, "workflow_sha": "0f1d2c3b4a5968778695a4b3c2d1e0f00f1d2c3b",
		"job_workflow_ref": repository + "/.github/workflows/deploy.yml@" + ref,
		"run_id":           or(job.RunID, strconv.FormatUint(uint64(uuid.New().ID()), 10)), "run_number": "10", "run_attempt": "1",
		"runner_environment": "github-hosted", "nbf": i.config.Now().Unix() - 600,
	}
	if job.Environment != "" {
		maps.Copy(claims, map[string]any{"environment": job.Environment, "environment_node_id": "EN_kwDO"})
	}
	return i.mint(claims, options)
}
