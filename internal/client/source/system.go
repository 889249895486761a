package source

import (
	"github.com/gatepass-ci/gatepass/internal/words"
)

// System names the CI system that we run in, for people; empty if it is none that is known.
func (f Finder) System() string {
	switch {
	case f.Getenv(envBitbucket) != "":
		return "Bitbucket Pipelines, build " + words.Clean(f.Getenv(envBitbucket))
	case f.Getenv(envCircle) != "":
		return "CircleCI"
	}
	return ""
}

// Mints reports whether Find will have a token minted, for the audience that is set.
func (f Finder) Mints() bool {
	return f.File == "" && f.Audience != "" && f.Getenv(envCircle) != "" && f.Method != "bitbucket" &&
		(f.Method == "circleci" || f.Getenv(envBitbucketToken) == "")
}

// Audiences reads the aud claim, a string or an array of strings (RFC 7519 §4.1.3).
func Audiences(aud any) []string { return audiences(aud) }
