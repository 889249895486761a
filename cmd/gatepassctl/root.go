package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// root builds the tree of commands.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatepassctl",
		Short: "administer Gatepass: rules, authorities, key sets, records",
		Long: `gatepassctl administers Gatepass: which CI jobs may join, as whom, and what they
are granted. It also runs the embedded server (gatepassctl serve) and a
demonstration of everything on this machine (gatepassctl demo).`,
		Example: `  gatepassctl serve --data ./gatepass-data
  gatepassctl apply -f rules.yaml --data ./gatepass-data
  gatepassctl joins ls --stack gatepass`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              needsCommand,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.stack, "stack", "", "CloudFormation stack of the deployed service (or GATEPASS_STACK)")
	flags.StringVar(&c.data, "data", "", "directory of the embedded store (or GATEPASS_DATA)")
	flags.StringVar(&c.format, "format", "text", "output as text, json or yaml")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains([]string{"text", "json", "yaml"}, c.format) {
			return misused("write --format text, json or yaml", "unknown format %q", c.format)
		}
		return nil
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: err, hint: fmt.Sprintf("see %s --help", cmd.CommandPath())}
	})
	for _, area := range [][]*cobra.Command{
		c.resourceCommands(), c.reasonCommands(), c.joinCommands(),
		c.keyCommands(), c.hostCommands(), c.serviceCommands(),
	} {
		root.AddCommand(area...)
	}
	wrapArgs(root)
	c.addCompletions(root)
	return root
}

// needsCommand is what a command that only groups others does.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return nil
}

// wrapArgs makes mistakes in arguments usage errors, at every command.
func wrapArgs(cmd *cobra.Command) {
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
			return &usageError{err: fmt.Errorf("unknown command %q", args[0]), hint: hint}
		}
		return &usageError{err: err, hint: "write it like: " + firstExample(cmd)}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}

func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return strings.TrimSpace(line)
}

// exactly wants the arguments named, no more and no fewer.
func exactly(names ...string) cobra.PositionalArgs {
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

// required reports the first flag of names that was not given.
func required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			return &usageError{err: fmt.Errorf("--%s is missing", name), hint: "write it like: " + firstExample(cmd)}
		}
	}
	return nil
}
