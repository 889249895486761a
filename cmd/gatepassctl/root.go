package main

import (
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/ctl/authorities"
	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
	"github.com/gatepass-ci/gatepass/internal/ctl/joins"
	"github.com/gatepass-ci/gatepass/internal/ctl/resources"
	"github.com/gatepass-ci/gatepass/internal/ctl/service"
)

// root builds the tree of commands.
func root(env *ctl.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "gatepassctl",
		Short: "administer Gatepass: rules, authorities, key sets, records",
		Long: `gatepassctl administers Gatepass: which CI jobs may join, as whom, and what they
are granted. It also runs the embedded server (gatepassctl serve) and a
demonstration of everything on this machine (gatepassctl demo).`,
		Example: `  gatepassctl serve --data ./gatepass-data
  gatepassctl apply -f rules.yaml --data ./gatepass-data
  gatepassctl joins ls --stack gatepass`,
		Args: cobra.NoArgs,
		RunE: cli.NeedsCommand,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&env.Stack, "stack", "", "CloudFormation stack of the deployed service (or GATEPASS_STACK)")
	flags.StringVar(&env.Data, "data", "", "directory of the embedded store (or GATEPASS_DATA)")
	flags.StringVar(&env.Format, "format", "text", "output as text, json or yaml")
	root.AddCommand(resources.Commands(env)...)
	root.AddCommand(joins.Command(env), hosts.Command(env))
	root.AddCommand(authorities.Commands(env)...)
	root.AddCommand(service.Commands(env)...)
	env.Prepare(root)
	return root
}
