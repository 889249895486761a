package sshdtest

import (
	"context"
	"errors"
	"os"
)

// TB is the part of testing.TB that Run uses; commands that use this package should
// not link package testing.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
}

// Run starts sshd for a test and closes it after; the log of a failed test is shown.
// Where sshd is not available the test is skipped, or with CI set fails.
func Run(t TB, cfg Config) *Server {
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
