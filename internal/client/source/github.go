package source

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

const (
	envGitHubURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	envGitHubToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// GitHub Actions mints an ID token whenever a job with the permission asks for one.
func init() {
	add(system{
		method:  "github",
		marker:  "GITHUB_ACTIONS",
		secrets: []string{envGitHubToken},
		name:    func(string) string { return "GitHub Actions" },
		job:     "a GitHub Actions job",
		enable:  "in GitHub Actions add `permissions: {id-token: write}` to the job",
		renew:   "in GitHub Actions add that permission",
		mints: func(f Finder) bool {
			return f.Audience != "" && f.Getenv(envGitHubURL) != "" && f.Getenv(envGitHubToken) != ""
		},
		mint:   mintGitHub,
		minter: "GitHub Actions",
		none: func() error {
			return cli.Failed("no ID token: GitHub Actions mints one for --audience, for a job that may have it").
				Hint("give --audience (GATEPASS_AUDIENCE), and add `permissions: {id-token: write}` to this job; a pull request from a fork gets none")
		},
		audience: func(quoted string) string {
			return "GitHub Actions: give --audience " + quoted + " (or GATEPASS_AUDIENCE)"
		},
		renewable: func(Finder) error { return nil },
	})
}

// mintGitHub asks the runner's own service for a token with our audience. What it is
// asked with can mint further tokens: it goes nowhere else, and is in no error.
func mintGitHub(ctx context.Context, f Finder) (string, error) {
	address, answer := f.Getenv(envGitHubURL)+"&audience="+url.QueryEscape(f.Audience), struct{ Value string }{}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", cli.Failed("minting an ID token: %s is not a URL", envGitHubURL).Hint("leave the variable as GitHub sets it")
	}
	request.Header.Set("Authorization", "Bearer "+f.Getenv(envGitHubToken))
	stay := http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := stay.Do(request)
	if err == nil {
		defer response.Body.Close()
		err = json.NewDecoder(io.LimitReader(response.Body, maxCommandOutput)).Decode(&answer)
	}
	if err != nil || answer.Value == "" {
		return "", cli.Failed("minting an ID token: GitHub gives none").Hint("run the job again; GitHub's status is at https://www.githubstatus.com")
	}
	return answer.Value, nil
}
