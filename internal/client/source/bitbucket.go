package source

import "github.com/gatepass-ci/gatepass/internal/cli"

const envBitbucketToken = "BITBUCKET_STEP_OIDC_TOKEN"

// bitbucket mints one ID token as a step starts.
func init() {
	add(system{
		method:    "bitbucket",
		marker:    "BITBUCKET_BUILD_NUMBER",
		variables: []string{envBitbucketToken},
		name:      func(build string) string { return "Bitbucket Pipelines, build " + build },
		job:       "a Bitbucket Pipelines step",
		enable:    "in Bitbucket add `oidc: true` to the step",
		none: func() error {
			return cli.Failed("no ID token: %s is not set", envBitbucketToken).
				Hint("add `oidc: true` to this step in bitbucket-pipelines.yml; a pipe needs it on the step that calls it")
		},
		audience: func(quoted string) string {
			return "Bitbucket: write `oidc: {audiences: [" + quoted + "]}` instead of `oidc: true` on the step"
		},
		renewable: func(Finder) error {
			return notRenewable("Bitbucket Pipelines mints one ID token as a step starts and no other, and an ID token is good for one join").
				Hint("add --oneshot (`oneshot: true` in a file) to join once; for a longer step ask for a longer --ttl, or join again in the next step")
		},
	})
}
