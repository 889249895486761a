package source

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

const (
	envCircle        = "CIRCLECI"
	envCircleTokenV2 = "CIRCLE_OIDC_TOKEN_V2"
	envCircleToken   = "CIRCLE_OIDC_TOKEN"
)

// circleCI mints a default token as a job starts, and others by a command for an audience.
func init() {
	add(system{
		method:    "circleci",
		marker:    envCircle,
		variables: []string{envCircleTokenV2, envCircleToken},
		name:      func(string) string { return "CircleCI" },
		job:       "a CircleCI job",
		enable:    "on CircleCI add a context to the job",
		renew:     "on CircleCI give --audience",
		mints:     func(f Finder) bool { return f.Audience != "" && f.Getenv(envCircle) != "" },
		mint:      mintCircle,
		minter:    "circleci run oidc get",
		none: func() error {
			return cli.Failed("no ID token: neither %s nor %s is set", envCircleTokenV2, envCircleToken).
				Hint("add a context to this job (`context: [deploy]` under the workflow's job) in .circleci/config.yml").
				Hint("a pull request from a fork gets no ID token unless the project passes secrets to forks")
		},
		audience: func(quoted string) string {
			return "CircleCI: give --audience " + quoted + " (or GATEPASS_AUDIENCE) and let gatepass mint the token"
		},
		renewable: func(f Finder) error {
			switch {
			case f.Getenv(envCircle) == "":
				return mintsNothing()
			case f.Audience == "":
				return notRenewable("the job's default ID token is good for one join, and another is minted only for an audience").
					Hint("give --audience (GATEPASS_AUDIENCE) with the audience of the token rule, or add --oneshot to join once")
			}
			return nil
		},
	})
}

// Minting fails now and then, so it is tried again, as CircleCI's own orbs do.
const (
	mintTries = 3
	mintPause = time.Second
)

// mintCircle asks CircleCI for a token with our audience. It never falls back to the
// job's default token: that one is for every relying party of the organisation,
// and was not what was asked for.
func mintCircle(ctx context.Context, f Finder) (string, error) {
	claims, err := json.Marshal(map[string]string{"aud": f.Audience})
	if err != nil {
		return "", cli.Misused("audience %q: %w", f.Audience, err)
	}
	for try := 1; ; try++ {
		out, err := f.Run(ctx, "circleci", "run", "oidc", "get", "--claims", string(claims))
		value := strings.TrimSpace(string(out))
		switch {
		case err == nil && value != "":
			return value, nil
		case errors.Is(err, exec.ErrNotFound):
			return "", cli.Failed("minting an ID token: the circleci command is not in PATH").
				Hint("it is part of every CircleCI job; restore PATH, or leave out the audience and GATEPASS_AUDIENCE to use the job's default token")
		case try == mintTries:
			if err == nil {
				err = errors.New("it printed nothing")
			}
			return "", cli.Failed("minting an ID token: circleci run oidc get failed %d times: %w", mintTries, err).
				Hint("a pull request from a fork gets no ID token unless the project passes secrets to forks; otherwise run the job again")
		}
		if err := f.Sleep(ctx, mintPause); err != nil {
			return "", cli.Failed("minting an ID token: %w", err)
		}
	}
}
