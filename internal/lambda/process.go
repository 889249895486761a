package lambda

import (
	"log/slog"
	"os"
)

// Log returns the log of a function: JSON lines to standard error, which Lambda
// keeps in the same group as standard output.
func (c Common) Log() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
}

// Version is the version of the functions, as /healthz tells it; template.yaml has
// the same. It is written here and not stamped by the build, which would differ
// with every file that lies beside the source.
const Version = "0.1.0"
