package lambda

import (
	"context"
	"log/slog"
	"os"
	"runtime/debug"
	"time"
)

// Log returns the log of a function: JSON lines to standard error, which Lambda
// keeps in the same group as standard output.
func (c Common) Log() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
}

// Version is the version of the module that the function was built from.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// Wait sleeps for d or until ctx is done; it is a join.Config's Wait.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
