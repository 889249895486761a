// Package tests tests the CircleCI orb: its scripts one by one with bats, and the packed orb
// as a whole, by running the samples of docs/circleci.md from checkout to login.
package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/a8m/envsubst"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// The test program is also the `circleci` of the jobs that it runs, under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "circleci" {
		if err := circleci(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "circleci:", err)
			os.Exit(1)
		}
		return
	}
	worldtest.Main(m)
}

// What the stand-in reads from its environment.
const (
	// mintVariable is the URL that mints ID tokens, by the query parameter aud.
	mintVariable = "TEST_MINT_URL"
	// failuresVariable is a file with the number of times that minting fails first.
	failuresVariable = "TEST_MINT_FAILURES"
)

// circleci does what CircleCI's command does in a job: it expands variables, by the same
// library, and mints ID tokens.
func circleci(args []string) error {
	switch {
	case slices.Equal(args, []string{"env", "subst"}):
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		out, err := envsubst.String(string(text))
		if err != nil {
			return err
		}
		_, err = fmt.Println(out) // with a newline, which not every version writes
		return err
	case len(args) == 5 && slices.Equal(args[:4], []string{"run", "oidc", "get", "--claims"}):
		return mint(args[4])
	}
	return fmt.Errorf("there is no such command: %q", args)
}

func mint(claims string) error {
	if failed, err := failOnce(os.Getenv(failuresVariable)); err != nil || failed {
		return fmt.Errorf("failed to get oidc token: the service is unavailable (%v)", err)
	}
	var wanted struct {
		Audience string `json:"aud"`
	}
	if err := json.Unmarshal([]byte(claims), &wanted); err != nil {
		return err
	}
	answer, err := http.Get(os.Getenv(mintVariable) + "?" + url.Values{"aud": {wanted.Audience}}.Encode())
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	token, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s (%v)", answer.StatusCode, token, err)
	}
	_, err = fmt.Println(string(token))
	return err
}

// failOnce counts the file down.
func failOnce(file string) (bool, error) {
	if file == "" {
		return false, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	left, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || left == 0 {
		return false, err
	}
	return true, os.WriteFile(file, []byte(strconv.Itoa(left-1)), 0o600)
}
