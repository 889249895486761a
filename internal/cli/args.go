package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// NeedsCommand is the RunE of a command that only groups others.
func NeedsCommand(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// Exactly wants the arguments named, no more and no fewer.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// Required reports the first flag of names that was not given.
func Required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			return Missing(cmd, "--"+name)
		}
	}
	return nil
}

// Missing says that what was not given must be.
func Missing(cmd *cobra.Command, what string) error {
	return Misused("%s is missing", what).Hint("write it like: %s", firstExample(cmd))
}

// argsError words what a check says of the words after a command's flags.
func argsError(cmd *cobra.Command, args []string, err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	if cmd.HasSubCommands() {
		return unknownCommand(cmd, args[0])
	}
	return Misused("%w", err).Hint("write it like: %s", firstExample(cmd))
}

// unknownCommand refuses a word that is not a command, with the nearest one.
func unknownCommand(cmd *cobra.Command, word string) error {
	e := Misused("unknown command %q", words.Clean(word))
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	if near := words.Nearest(word, names); near != "" {
		return e.Hint("did you mean %s %s?", cmd.CommandPath(), near)
	}
	return e.Hint("%s", seeHelp(cmd))
}

// flagError words what pflag says of a flag, with the nearest one where there is none.
func flagError(cmd *cobra.Command, err error) error {
	e := Misused("%s", words.Clean(err.Error()))
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return e.Hint("%s", seeHelp(cmd))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := words.Nearest(unknown.GetSpecifiedName(), names); near != "" {
		return e.Hint("did you mean --%s? %s", near, seeHelp(cmd))
	}
	return e.Hint("%s", seeHelp(cmd))
}

func seeHelp(cmd *cobra.Command) string { return "see " + cmd.CommandPath() + " --help" }

// firstExample is the first line of a command's examples.
func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return strings.TrimSpace(line)
}

// helpCommand is --help for people who write it as a word.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [command]",
		Short:   "Help about any command",
		Example: "  " + root.Name() + " help completion",
		Args:    cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			about, rest, _ := root.Find(args)
			if len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
