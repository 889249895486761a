// Command gatepass runs in a CI job and exchanges the job's OIDC token for
// short-lived credentials. docs/client.md describes it.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/commands"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	return commands.Run(ctx, commands.Env{
		Env: cli.Env{
			Name: "gatepass", Version: cli.Version(), Getenv: getenv,
			In: stdin, Out: stdout, Err: stderr, Now: time.Now,
		},
		Random: rand.Reader,
	}, args)
}
