package cli

import (
	"context"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/command"
)

const joinExample = `  gatepass join identity --server https://join.example.com --token example-bot --destination ./id
  ssh -F ./id/ssh_config deploy@host.example.com

  gatepass join identity --server https://join.example.com --token example-bot --destination ./id \
    --also database,destination=./db,username=app,database=orders`

func newJoin(env *Env) *command.Command {
	// Without a type it is an identity, so join itself takes those flags too.
	join := newJoinOutput(env, outputCommands()[0])
	join.Use = "join [" + strings.Join(outputNames(), "|") + "]"
	join.Aliases = nil
	join.Short = "Join once and write the credentials"
	join.Args = func(_ *command.Command, args []string) error {
		if len(args) > 0 {
			return noOutput(args[0])
		}
		return nil
	}
	for _, out := range outputCommands() {
		join.Add(newJoinOutput(env, out))
	}
	return join
}

func newJoinOutput(env *Env, out outputCommand) *command.Command {
	var flags joinFlags
	var also []string
	cmd := &command.Command{
		Use:     out.name,
		Aliases: out.aliases,
		Short:   "Join for " + out.short,
		Example: out.join(),
		Args:    noArgs,
	}
	w := newWish(out)
	flags.bind(cmd.Flags(), w.flags)
	cmd.Flags().StringArrayVar(&also, "also", nil, alsoHelp)
	cmd.Run = func(ctx context.Context, _ []string) error {
		outputs, err := outputsOf(w, also)
		if err != nil {
			return err
		}
		return flags.run(ctx, env, outputs)
	}
	return cmd
}

// join is an example of `gatepass join`.
func (c outputCommand) join() string {
	if c.example == "" {
		return joinExample
	}
	return "  gatepass join " + c.name + " --server https://join.example.com --token example-bot --destination ./" + c.name + " \\\n    " + c.example
}
