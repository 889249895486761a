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

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/gatepass-ci/gatepass/internal/client/command"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/pipe"
	"github.com/gatepass-ci/gatepass/internal/words"
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

	// log is how a pipe speaks; nil elsewhere.
	log *pipe.Log
}

// exitStatus is the status of a command that was run for the caller. That
// command has said itself what went wrong.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Run runs a command line and returns the exit status: 0 done, 1 failed, 2
// wrong usage, 3 refused by the service, 4 service unreachable. exec and ssh
// return the status of the command that they ran.
func Run(ctx context.Context, env Env, args []string) int {
	err := newRoot(&env).Execute(ctx, args, env.Stdout, flagError)
	if err == nil {
		return 0
	}
	var child exitStatus
	if errors.As(err, &child) {
		return int(child)
	}
	f := failure.Of(err)
	env.printFailure(f)
	return int(f.Exit)
}

// Commands is the tree of all commands, for who wants to describe them.
func Commands() *command.Command { return newRoot(&Env{}) }

func newRoot(env *Env) *command.Command {
	root := &command.Command{
		Use:   "gatepass",
		Short: "Short-lived credentials for a CI job",
		Long:  "gatepass exchanges this job's own OIDC token for short-lived SSH and X.509 credentials.",
		Example: `  # in a Bitbucket step with ` + "`oidc: true`" + `, or a CircleCI job
  gatepass join --server https://join.example.com --token example-bot --destination ./id
  ssh -F ./id/ssh_config deploy@host.example.com`,
		Args: unknownCommand,
	}
	root.Run = func(context.Context, []string) error { return root.Help(env.Stdout) }
	root.Add(newJoin(env), newStart(env), newInspect(env), newKubeCredentials(env), newDoctor(env), newConfigure(env), newLogout(env), newVersion(env))
	root.Add(runCommands(env)...)
	root.Add(newPipe(env), newHelp(env, root))
	return root
}

// newHelp is --help for who writes it as a word.
func newHelp(env *Env, root *command.Command) *command.Command {
	return &command.Command{
		Use:     "help [command]",
		Short:   "Help about any command",
		Example: "  gatepass help join database",
		Run: func(_ context.Context, args []string) error {
			about := root
			for i := range args {
				sub := about.Find(args[i])
				if sub == nil {
					return unknownCommand(about, args[i:])
				}
				about = sub
			}
			return about.Help(env.Stdout)
		},
	}
}

// unknownCommand refuses a word that is no command, with the nearest one.
func unknownCommand(cmd *command.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := failure.New(failure.Usage, "unknown command %q", failure.Clean(args[0]))
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if near := words.Nearest(args[0], names); near != "" {
		return e.Hint("did you mean `%s %s`?", cmd.Path(), near)
	}
	return e.Hint("`%s --help` lists the commands", cmd.Path())
}

// flagError is a wrong flag in one line, with the nearest flag.
func flagError(cmd *command.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return failure.New(failure.Usage, "%s", failure.Clean(err.Error())).Hint("see `%s --help`", cmd.Path())
	}
	name := unknown.GetSpecifiedName()
	e := failure.New(failure.Usage, "unknown flag --%s", failure.Clean(name))
	if unknown.GetSpecifiedShortnames() != "" {
		e = failure.New(failure.Usage, "unknown flag -%s", failure.Clean(name))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := words.Nearest(name, names); near != "" {
		return e.Hint("did you mean --%s? see `%s --help`", near, cmd.Path())
	}
	return e.Hint("see `%s --help`", cmd.Path())
}

// noArgs refuses words after the flags.
func noArgs(cmd *command.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return failure.New(failure.Usage, "unexpected argument %q", failure.Clean(args[0])).Hint("see `%s --help`", cmd.Path())
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
	if env.log != nil {
		env.log.Warning("%s", oneLine(text))
		return
	}
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
