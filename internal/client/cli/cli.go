// Package cli is the command line of gatepass: commands, flags and what is
// printed. Results go to stdout, everything else to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// Env is the world outside of a command.
type Env struct {
	Getenv  func(string) string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Now     func() time.Time
	Random  io.Reader
	Version string
}

// exitStatus is the status of a command that was run for the caller. That
// command has said itself what went wrong.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Run runs a command line and returns the exit status: 0 done, 1 failed, 2
// wrong usage, 3 refused by the service, 4 service unreachable. exec and ssh
// return the status of the command that they ran.
func Run(ctx context.Context, env Env, args []string) int {
	root := newRoot(&env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var child exitStatus
	if errors.As(err, &child) {
		return int(child)
	}
	f := failure.Of(err)
	env.printFailure(f)
	return int(f.Kind)
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "gatepass",
		Short: "Short-lived credentials for a CI job",
		Long:  "gatepass exchanges this job's own OIDC token for short-lived SSH and X.509 credentials.",
		Example: `  # in a Bitbucket step with ` + "`oidc: true`" + `, or a CircleCI job
  gatepass join --server https://join.example.com --token example-bot --destination ./id
  ssh -F ./id/ssh_config deploy@host.example.com`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.SetIn(env.Stdin)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newJoin(env), newStart(env), newInspect(env), newKubeCredentials(env), newDoctor(env), newConfigure(env), newLogout(env), newVersion(env))
	root.AddCommand(runCommands(env)...)
	return root
}

// unknownCommand refuses a word that is no command, with the nearest one.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := failure.New(failure.Usage, "unknown command %q", failure.Clean(args[0]))
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if near := nearest(args[0], names); near != "" {
		return e.Hint("did you mean `%s %s`?", cmd.CommandPath(), near)
	}
	return e.Hint("`%s --help` lists the commands", cmd.CommandPath())
}

// flagError is a wrong flag in one line, with the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return failure.New(failure.Usage, "%s", failure.Clean(err.Error())).Hint("see `%s --help`", cmd.CommandPath())
	}
	name := unknown.GetSpecifiedName()
	e := failure.New(failure.Usage, "unknown flag --%s", failure.Clean(name))
	if unknown.GetSpecifiedShortnames() != "" {
		e = failure.New(failure.Usage, "unknown flag -%s", failure.Clean(name))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := nearest(name, names); near != "" {
		return e.Hint("did you mean --%s? see `%s --help`", near, cmd.CommandPath())
	}
	return e.Hint("see `%s --help`", cmd.CommandPath())
}

// noArgs refuses words after the flags.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return failure.New(failure.Usage, "unexpected argument %q", failure.Clean(args[0])).Hint("see `%s --help`", cmd.CommandPath())
}

// printFailure writes an error, its notes and its hints.
func (env *Env) printFailure(f *failure.Error) {
	label, end := "", ""
	if env.colour(env.Stderr) {
		label, end = "\x1b[1;31m", "\x1b[0m"
	}
	fmt.Fprintf(env.Stderr, "gatepass: %serror:%s %s\n", label, end, oneLine(f.Error()))
	for _, note := range f.Notes {
		fmt.Fprintf(env.Stderr, "gatepass:   %s\n", note)
	}
	for _, hint := range f.Hints {
		fmt.Fprintf(env.Stderr, "gatepass: hint: %s\n", oneLine(hint))
	}
}

func (env *Env) warn(text string) {
	fmt.Fprintf(env.Stderr, "gatepass: warning: %s\n", oneLine(text))
}

// colour is for people at a terminal who did not ask to be spared (no-color.org).
func (env *Env) colour(to io.Writer) bool {
	file, ok := to.(*os.File)
	return ok && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb" && term.IsTerminal(int(file.Fd()))
}

// oneLine is a message for a terminal: parts of it may be a stranger's.
func oneLine(s string) string {
	return failure.Printable(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}
