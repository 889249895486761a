// Package commands has the commands of gatepass: their flags, and what is
// printed. Results go to stdout, everything else to stderr.
package commands

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/pipe"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Env is the world outside of a command.
type Env struct {
	cli.Env
	Random io.Reader

	// log is how a pipe speaks; nil elsewhere.
	log *pipe.Log
}

// Run runs a command line and returns the exit status: 0 done, 1 failed, 2
// wrong usage, 3 refused by the service, 4 service unreachable. exec and ssh
// return the status of the command that they ran.
func Run(ctx context.Context, env Env, args []string) int {
	// Whatever a service, a host or a job has chosen of a text: none of it moves a terminal.
	env.Out, env.Err = cli.Guard(env.Out), cli.Guard(env.Err)
	cmd, err := env.Execute(ctx, newRoot(&env), args)
	return int(env.report(cmd, err))
}

func (env *Env) report(cmd *cobra.Command, err error) cli.Exit {
	return env.Report(cmd, cli.Brief(err))
}

// Tree is the tree of all commands, for their manual pages.
func Tree() *cobra.Command { return newRoot(&Env{}) }

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "gatepass",
		Short: "Short-lived credentials for a CI job",
		Long:  "gatepass exchanges this job's own OIDC token for short-lived SSH and X.509 credentials.",
		Example: `  # in a Bitbucket step with ` + "`oidc: true`" + `, or a CircleCI job
  gatepass join --server https://join.example.com --token example-bot --destination ./id
  ssh -F ./id/ssh_config deploy@host.example.com`,
		Args: cli.Exactly(),
		RunE: cli.NeedsCommand,
	}
	root.AddCommand(
		newJoin(env), newStart(env), newConfigure(env), newDoctor(env), newInspect(env), newLogout(env),
		newExec(env), newSSH(env), newCopy(env), newKubeCredentials(env), newPipe(env), newJanitor(env),
		newVersion(env), cli.CompletionCommand("gatepass"),
	)
	env.Prepare(root)
	return root
}

func (env *Env) warn(text string) {
	if env.log != nil {
		env.log.Warning("%s", words.OneLine(text))
		return
	}
	env.Warn("%s", text)
}
