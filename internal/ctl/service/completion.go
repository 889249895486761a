package service

import (
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

func completionCommand() *cobra.Command {
	cmd := cli.CompletionCommand("gatepassctl")
	cmd.Short = "print a script that completes commands, flags and names of resources in a shell"
	cmd.Long = `completion prints a script for a shell. It completes names of resources too, from
the store that the command line or the environment names.`
	return cmd
}
