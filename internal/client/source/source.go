// Package source finds the OIDC token that the CI system minted for this job.
package source

import (
	"context"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Environment variables that CI systems set.
const (
	envBitbucketToken = "BITBUCKET_STEP_OIDC_TOKEN"
	envBitbucket      = "BITBUCKET_BUILD_NUMBER"
	envCircleTokenV2  = "CIRCLE_OIDC_TOKEN_V2"
	envCircleToken    = "CIRCLE_OIDC_TOKEN"
	envCircle         = "CIRCLECI"
)

// Token is an ID token and where it came from. It prints as its source, so
// that a stray %v in a message never puts the secret into a build log.
type Token struct {
	value  string
	Method string // the join method, empty when an ID token file does not tell
	Source string // a variable's name, a file or a command
}

// Value is the compact JWS itself. It belongs in the join request and nowhere else.
func (t Token) Value() string { return t.value }

// String names the source, never the value.
func (t Token) String() string { return "[ID token from " + t.Source + "]" }

// GoString is String: %#v must not show the value either.
func (t Token) GoString() string { return t.String() }

// Finder looks for the ID token. Its functions are the outside world.
type Finder struct {
	File     string // --id-token-file
	Audience string // the audience the token must have, if one is set
	Method   string // --join-method; narrows the search

	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Run runs a command and returns what it wrote to stdout.
	Run   func(ctx context.Context, name string, args ...string) ([]byte, error)
	Sleep func(context.Context, time.Duration) error
}

// Find returns the ID token of this job, from the first source that has one:
// the file, Bitbucket's variable, a token minted by CircleCI for the audience,
// CircleCI's variables. The token's shape is checked; its signature is the
// service's business.
func (f Finder) Find(ctx context.Context) (Token, error) {
	switch f.Method {
	case "", api.MethodBitbucket, api.MethodCircleCI:
	default:
		return Token{}, cli.Misused("join method %q is not supported", f.Method).
			Hint("use --join-method=bitbucket or --join-method=circleci, or leave it out")
	}
	token, err := f.pick(ctx)
	if err != nil {
		return Token{}, err
	}
	if token.value == "" {
		return Token{}, f.noneFound()
	}
	if err := f.check(token); err != nil {
		return Token{}, err
	}
	return token, nil
}

// pick returns the first token found, or a zero one.
func (f Finder) pick(ctx context.Context) (Token, error) {
	if f.File != "" {
		value, err := f.readFile()
		return Token{value: value, Method: f.fileMethod(), Source: f.File}, err
	}
	if f.Method != api.MethodCircleCI {
		if value := f.Getenv(envBitbucketToken); value != "" {
			return Token{value: value, Method: api.MethodBitbucket, Source: envBitbucketToken}, nil
		}
	}
	if f.Method == api.MethodBitbucket {
		return Token{}, nil
	}
	if f.Audience != "" && f.Getenv(envCircle) != "" {
		value, err := f.mint(ctx)
		return Token{value: value, Method: api.MethodCircleCI, Source: "circleci run oidc get"}, err
	}
	for _, name := range []string{envCircleTokenV2, envCircleToken} {
		if value := f.Getenv(name); value != "" {
			return Token{value: value, Method: api.MethodCircleCI, Source: name}, nil
		}
	}
	return Token{}, nil
}

// fileMethod is the method of a token from a file: as told, or the CI we run in.
func (f Finder) fileMethod() string {
	switch {
	case f.Method != "":
		return f.Method
	case f.Getenv(envBitbucket) != "":
		return api.MethodBitbucket
	case f.Getenv(envCircle) != "":
		return api.MethodCircleCI
	}
	return ""
}

// noneFound says what to write in the file of the CI system we run in.
func (f Finder) noneFound() error {
	bitbucket := f.Getenv(envBitbucket) != "" || f.Method == api.MethodBitbucket
	circle := f.Getenv(envCircle) != "" || f.Method == api.MethodCircleCI
	switch {
	case bitbucket && f.Method != api.MethodCircleCI:
		return cli.Failed("no ID token: %s is not set", envBitbucketToken).
			Hint("add `oidc: true` to this step in bitbucket-pipelines.yml; a pipe needs it on the step that calls it")
	case circle:
		return cli.Failed("no ID token: neither %s nor %s is set", envCircleTokenV2, envCircleToken).
			Hint("add a context to this job (`context: [deploy]` under the workflow's job) in .circleci/config.yml").
			Hint("a pull request from a fork gets no ID token unless the project passes secrets to forks")
	}
	return cli.Failed("no ID token: this does not look like a Bitbucket Pipelines step or a CircleCI job").
		Hint("in Bitbucket add `oidc: true` to the step, on CircleCI add a context to the job, elsewhere give --id-token-file FILE")
}
