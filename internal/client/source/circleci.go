package source

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Minting fails now and then, so it is tried again, as CircleCI's own orbs do.
const (
	mintTries = 3
	mintPause = time.Second
)

// mint asks CircleCI for a token with our audience. It never falls back to the
// job's default token: that one is for every relying party of the organisation,
// and was not what was asked for.
func (f Finder) mint(ctx context.Context) (string, error) {
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

// readFile reads the ID token file whole.
func (f Finder) readFile() (string, error) {
	raw, err := f.ReadFile(f.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", cli.Failed("ID token file %s does not exist", f.File).
			Hint("write the job's OIDC token to it first, or leave out --id-token-file to use the CI system's variable")
	case err != nil:
		return "", cli.Failed("reading the ID token file: %w", err).
			Hint("check that the file can be read by this user")
	}
	value := strings.TrimSpace(string(raw))
	if value == "" {
		return "", cli.Failed("ID token file %s is empty", f.File).
			Hint("write the job's OIDC token to it first")
	}
	if len(value) > api.MaxIDTokenBytes {
		return "", cli.Failed("ID token file %s holds more than %d bytes, so it is no ID token", f.File, api.MaxIDTokenBytes).
			Hint("the file holds the token and nothing else: three parts joined by dots")
	}
	return value, nil
}
