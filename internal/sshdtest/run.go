package sshdtest

import (
	"errors"
	"os"
	"testing"
)

// Run starts sshd for a test and closes it after; the log of a failed test is shown.
// Where sshd is not available the test is skipped, or with CI set fails.
func Run(t testing.TB, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if errors.Is(err, ErrUnavailable) && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatalf("starting sshd: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", s.Software(), s.Log())
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing sshd: %v", err)
		}
	})
	return s
}
