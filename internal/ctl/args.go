package ctl

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// NeedsCommand is what a command that only groups others does.
func NeedsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return nil
}

// WrapArgs makes mistakes in arguments usage errors, at every command.
func WrapArgs(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		if cmd.HasSubCommands() {
			hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("did you mean %s %s?", cmd.CommandPath(), strings.Join(near, " or "))
			}
			return Misused(hint, "unknown command %q", args[0])
		}
		return Misused("write it like: "+firstExample(cmd), "%w", err)
	}
	for _, sub := range cmd.Commands() {
		WrapArgs(sub)
	}
}

// Missing says that what was not given must be.
func Missing(cmd *cobra.Command, what string) error {
	return Misused("write it like: "+firstExample(cmd), "%s is missing", what)
}

// firstExample is the first line of a command's examples.
func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return strings.TrimSpace(line)
}

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
