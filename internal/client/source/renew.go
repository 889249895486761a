package source

import (
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Renewable says why there cannot be a second ID token in this job, or nil. An
// ID token is good for one join, so without a second one nothing can be renewed.
func (f Finder) Renewable() error {
	if f.File != "" {
		return nil // whoever writes the file can write it anew
	}
	no := func(why string) *cli.Error {
		return cli.Misused("renewal is not possible here: %s", why)
	}
	bitbucket := f.Method == api.MethodBitbucket || f.Method == "" && (f.Getenv(envBitbucketToken) != "" || f.Getenv(envBitbucket) != "")
	switch {
	case bitbucket:
		return no("Bitbucket Pipelines mints one ID token as a step starts and no other, and an ID token is good for one join").
			Hint("add --oneshot (`oneshot: true` in a file) to join once; for a longer step ask for a longer --ttl, or join again in the next step")
	case f.Getenv(envCircle) != "" && f.Audience == "":
		return no("the job's default ID token is good for one join, and another is minted only for an audience").
			Hint("give --audience (GATEPASS_AUDIENCE) with the audience of the token rule, or add --oneshot to join once")
	case f.Getenv(envCircle) != "":
		return nil
	}
	return no("nothing here can mint a second ID token").
		Hint("add --oneshot (`oneshot: true` in a file) to join once; on CircleCI give --audience, elsewhere --id-token-file with a file that is kept fresh")
}
