package cli

import (
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/output"
)

const joinExample = `  gatepass join identity --server https://join.example.com --token example-bot --destination ./id
  ssh -F ./id/ssh_config deploy@host.example.com`

func newJoin(env *Env) *cobra.Command {
	// Without a type it is an identity, so join itself takes those flags too.
	join := newJoinOutput(env, outputCommands()[0])
	join.Use = "join [identity]"
	join.Aliases = nil
	join.Short = "Join once and write the credentials"
	join.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return noOutput(args[0])
		}
		return nil
	}
	for _, out := range outputCommands() {
		join.AddCommand(newJoinOutput(env, out))
	}
	return join
}

func newJoinOutput(env *Env, out outputCommand) *cobra.Command {
	var flags joinFlags
	var destination string
	var roles []string
	cmd := &cobra.Command{
		Use:     out.name,
		Short:   "Join for " + out.short,
		Example: joinExample,
		Args:    noArgs,
	}
	flags.bind(cmd.Flags())
	cmd.Flags().StringVar(&destination, "destination", "", "directory for the credentials; it is made if missing")
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "ask for some of the bot's roles only")
	build := out.bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path, err := destinationPath(destination)
		if err != nil {
			return err
		}
		made, err := build(path, roles)
		if err != nil {
			return err
		}
		return flags.run(cmd.Context(), env, []output.Output{made})
	}
	return cmd
}

func needDestination() error {
	return failure.New(failure.Usage, "no destination is given").
		Hint("give --destination DIR, a directory for the credentials alone")
}
