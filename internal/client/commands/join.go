package commands

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
)

const joinExample = `  gatepass join identity --server https://join.example.com --token example-bot --destination ./id
  ssh -F ./id/ssh_config deploy@host.example.com

  gatepass join identity --server https://join.example.com --token example-bot --destination ./id \
    --also database,destination=./db,username=app,database=orders`

func newJoin(env *Env) *cobra.Command {
	// Without a type it is an identity, so join itself takes those flags too.
	join := newJoinOutput(env, credentials.Kinds()[0])
	join.Use = "join [" + strings.Join(credentials.KindNames(), "|") + "]"
	join.Aliases = nil
	join.Short = "Join once and write the credentials"
	join.Args = knownKind
	for _, kind := range credentials.Kinds() {
		join.AddCommand(newJoinOutput(env, kind))
	}
	return join
}

func newJoinOutput(env *Env, kind credentials.Kind) *cobra.Command {
	flags := joinFlags{format: &env.Format}
	var also []string
	cmd, w := outputCommand(kind, "Join for", joinExampleOf(kind), flags.bind)
	cmd.Flags().StringArrayVar(&also, "also", nil, alsoHelp)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		wishes, err := wishesOf(w, also)
		if err != nil {
			return err
		}
		outputs, err := makeOutputs(wishes)
		if err != nil {
			return err
		}
		return flags.run(cmd.Context(), env, outputs)
	}
	return cmd
}

// joinExampleOf is an example of `gatepass join`.
func joinExampleOf(kind credentials.Kind) string {
	if kind.Example == "" {
		return joinExample
	}
	return "  gatepass join " + kind.Name + " --server https://join.example.com --token example-bot --destination ./" + kind.Name + " \\\n    " + kind.Example
}
