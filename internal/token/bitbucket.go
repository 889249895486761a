package token

// bitbucket is Bitbucket Pipelines. Its UUIDs are in braces, and its sub is
// {repository}:{step} or {repository}:{environment}:{step}: never the same
// twice, so nothing is read from it.
type bitbucket struct{}

// fields reads the environment from deploymentEnvironmentUuid only. The claim
// deploymentEnvironment of Atlassian's sample is a name that anyone who may
// edit the pipeline can choose, and real tokens do not have it.
func (bitbucket) fields(c claims) map[string][]string {
	return readFields(c, []ruleField{
		{"workspace_uuid", "workspaceUuid"},
		{"repository_uuid", "repositoryUuid"},
		{"deployment_environment_uuid", "deploymentEnvironmentUuid"},
		{"branch_name", "branchName"},
	})
}

func (bitbucket) check(c claims, _ Expect) error {
	return requireText(c, "workspaceUuid", "repositoryUuid", "stepUuid")
}
