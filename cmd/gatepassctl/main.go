// Command gatepassctl is for administrators of Gatepass: rules, authorities, key
// sets, records, and the embedded server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

func main() {
	env := &ctl.Env{Env: cli.Env{Name: "gatepassctl", Version: cli.Version(), Getenv: os.Getenv, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now}, CacheFor: authority.CacheFor, Lookup: os.LookupEnv}
	os.Exit(int(run(env, os.Args[1:])))
}

// run runs a command until it is done or interrupted.
func run(env *ctl.Env, args []string) cli.Exit {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return env.Execute(ctx, root(env), args)
}
