// Package cli is what the command lines of gatepass and gatepassctl share: errors with
// a hint and an exit code, what cobra is told, colours, output for people and machines,
// and completion.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// Env is the world around a command line.
type Env struct {
	Name     string // of the program, before everything that it says of itself
	Version  string
	Getenv   func(string) string
	In       io.Reader
	Out, Err io.Writer // results; everything else
	Now      func() time.Time

	// Format is what --format says.
	Format string
}

// Prepare makes a complete tree of commands behave as ours do: errors are returned and
// not printed, mistakes come with what was probably meant, and --help may stand
// anywhere, since each command knows that flag before its subcommand is looked for.
// Each --format that sets e.Format is checked before a command runs.
func (e *Env) Prepare(root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand(root))
	e.Format = cmp.Or(e.Format, "text")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(Formats(), e.Format) {
			return Misused("unknown format %q", e.Format).Hint("write --format %s", or(Formats()))
		}
		return nil
	}
	prepare(root)
}

func prepare(cmd *cobra.Command) {
	cmd.InitDefaultHelpFlag()
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		return argsError(cmd, args, check(cmd, args))
	}
	for _, flag := range []string{"format", "report"} { // unless the command completes its own
		Complete(cmd, flag, Formats()...)
	}
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// Execute runs the command of root that args name, and returns it with its error.
func (e *Env) Execute(ctx context.Context, root *cobra.Command, args []string) (*cobra.Command, error) {
	root.SetArgs(args)
	root.SetIn(e.In)
	root.SetOut(e.Out)
	root.SetErr(e.Err)
	return root.ExecuteContextC(ctx)
}

// Report prints the error of a command, with its notes and hints, and returns the exit
// code. Parts of a message may be a stranger's, so that nothing in it drives a terminal.
func (e *Env) Report(cmd *cobra.Command, err error) Exit {
	if err == nil {
		return ExitDone
	}
	if exit, ok := errors.AsType[Exit](err); ok {
		return exit.status()
	}
	failed, style := Of(err), e.Style(e.Err)
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(e.Err, "%s %s\n", style.Red(e.Name+": error:"), words.Printable(line))
	}
	for _, note := range failed.Notes {
		fmt.Fprintf(e.Err, "%s:   %s\n", e.Name, words.Printable(note))
	}
	hints := failed.Hints
	if len(hints) == 0 && failed.Exit == ExitUsage {
		hints = []string{seeHelp(cmd)}
	}
	for _, hint := range hints {
		fmt.Fprintf(e.Err, "%s %s\n", style.Bold(e.Name+": hint:"), words.OneLine(hint))
	}
	return failed.Exit.status()
}

// Warn tells what is wrong and does not stop the command.
func (e *Env) Warn(format string, args ...any) {
	fmt.Fprintf(e.Err, "%s %s\n", e.Style(e.Err).Bold(e.Name+": warning:"), words.OneLine(fmt.Sprintf(format, args...)))
}
