package worldtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

// CircleCIJob is one job of CircleCI, whose circleci command mints ID tokens on demand. Two of
// one second and one audience are the same, as CircleCI's are.
type CircleCIJob struct {
	Env []string // what CircleCI sets, and PATH with the command in front

	mu     sync.Mutex
	minted []string
}

// CircleCI starts a job.
func (w *World) CircleCI(tb testing.TB) *CircleCIJob {
	tb.Helper()
	Need(tb, "curl")
	j, job := &CircleCIJob{}, issuertest.NewCircleCIJob()
	mint := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		var claims struct {
			Audience string `json:"aud"`
		}
		err := json.NewDecoder(in.Body).Decode(&claims)
		j.mu.Lock()
		defer j.mu.Unlock()
		job.Audience = []string{claims.Audience}
		idToken, mintErr := w.Issuer.CircleCI(job)
		if err != nil || mintErr != nil {
			http.Error(out, "it cannot be minted", http.StatusBadRequest)
			return
		}
		j.minted = append(j.minted, idToken)
		_, _ = out.Write([]byte(idToken + "\n"))
	}))
	tb.Cleanup(mint.Close)
	bin := tb.TempDir()
	Must(tb, os.WriteFile(filepath.Join(bin, "circleci"), []byte(`#!/bin/sh
test "$1 $2 $3 $4" = "run oidc get --claims" || exit 1
printf %s "$5" | curl --fail --silent --show-error --data-binary @- `+mint.URL+"\n"), 0o700))
	j.Env = []string{"CIRCLECI=true", "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	return j
}

// Minted are the ID tokens that the job has had minted, in their order.
func (j *CircleCIJob) Minted() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.minted)
}
