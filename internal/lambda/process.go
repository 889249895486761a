package lambda

import (
	"log/slog"
	"os"
	"runtime"
)

const (
	envProcessors = "GOMAXPROCS"
	envRootsDir   = "SSL_CERT_DIR"
	// rootsFile is where Lambda's runtime has the certificates that TLS trusts (Amazon Linux 2023).
	rootsFile = "/etc/pki/tls/certs/ca-bundle.crt"
)

// SetUp makes the process fit an environment of Lambda, which has a part of one processor
// and handles one event at a time. It comes first in main.
func SetUp() error {
	if os.Getenv(envProcessors) == "" {
		runtime.GOMAXPROCS(1) // more would wake each other, and share the same time
	}
	// crypto/x509 reads that file, and then the same certificates again from two folders
	// with links to it.
	if _, err := os.Stat(rootsFile); err == nil && os.Getenv(envRootsDir) == "" {
		return os.Setenv(envRootsDir, os.DevNull)
	}
	return nil
}

// Log returns the log of a function: JSON lines to standard error, which Lambda
// keeps in the same group as standard output.
func (c Common) Log() *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
}

// Version is the version of the functions, as /healthz tells it; template.yaml has
// the same. It is written here and not stamped by the build, which would differ
// with every file that lies beside the source.
const Version = "0.1.0"
