package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (c *cli) completionCommand() *cobra.Command {
	shells := map[string]func(root *cobra.Command) error{
		"bash": func(root *cobra.Command) error { return root.GenBashCompletionV2(c.out, true) },
		"zsh":  func(root *cobra.Command) error { return root.GenZshCompletion(c.out) },
		"fish": func(root *cobra.Command) error { return root.GenFishCompletion(c.out, true) },
	}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script that completes commands, flags and names of resources in a shell",
		Long: `completion prints a script for a shell. It completes names of resources too, from
the store that the command line or the environment names.`,
		Example: `  source <(gatepassctl completion bash)
  gatepassctl completion zsh > "${fpath[1]}/_gatepassctl"
  gatepassctl completion fish > ~/.config/fish/completions/gatepassctl.fish`,
		Args:      exactly("bash, zsh or fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			script, ok := shells[args[0]]
			if !ok {
				return misused("write bash, zsh or fish", "unknown shell %q", args[0])
			}
			return script(cmd.Root())
		},
	}
}

// completer returns what a word on the command line may be. It is quiet: whatever
// goes wrong, there is nothing to offer.
type completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// addCompletions makes every command complete its arguments and the values of its
// flags, as far as they can be known.
func (c *cli) addCompletions(root *cobra.Command) {
	for path, complete := range map[string]completer{
		"get": c.completeID, "rm": c.completeID, "edit": c.completeID, "joins show": c.completeJoin,
	} {
		if cmd, rest, err := root.Find(strings.Fields(path)); err == nil && len(rest) == 0 {
			cmd.ValidArgsFunction = complete
		}
	}
	flags := map[string]completer{
		"format":     cobra.FixedCompletions([]string{"text", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp),
		"type":       cobra.FixedCompletions(strings.Split(purposeList(), ", "), cobra.ShellCompDirectiveNoFileComp),
		"code":       cobra.FixedCompletions(allCodes(), cobra.ShellCompDirectiveNoFileComp),
		"token":      c.completeName(rules.KindToken),
		"bot":        c.completeName(rules.KindBot),
		"role":       c.completeName(rules.KindRole),
		"last":       c.completeJoin,
		"phase":      cobra.FixedCompletions([]string{"1", "2", "3", "back"}, cobra.ShellCompDirectiveNoFileComp),
		"principals": cobra.NoFileCompletions,
	}
	completeFlags(root, flags)
}

func completeFlags(cmd *cobra.Command, flags map[string]completer) {
	for name, complete := range flags {
		// new's --bot is a name that there is not yet.
		if cmd.Flags().Lookup(name) != nil && (cmd.Parent() == nil || cmd.Parent().Name() != "new") {
			_ = cmd.RegisterFlagCompletionFunc(name, complete) // an error says that the command has its own
		}
	}
	for _, sub := range cmd.Commands() {
		completeFlags(sub, flags)
	}
}

func allCodes() []string {
	codes := []string{store.CodeOK}
	for code := range api.Codes() {
		codes = append(codes, string(code))
	}
	slices.Sort(codes)
	return codes
}

// completeID completes KIND, then KIND/NAME.
func (c *cli) completeID(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() != "rm" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	kind, _, named := strings.Cut(toComplete, "/")
	if !named {
		var offers []string
		for _, kind := range kinds {
			offers = append(offers, string(kind)+"/")
		}
		return offers, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	k, _, err := parseID(kind)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	offers := c.names(cmd, k)
	for i, name := range offers {
		offers[i] = kind + "/" + name
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

func (c *cli) completeName(kind rules.Kind) completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return c.names(cmd, kind), cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *cli) names(cmd *cobra.Command, kind rules.Kind) (names []string) {
	c.quietly(cmd, func(ctx context.Context, b *backend) error {
		all, err := b.store.List(ctx, kind)
		for _, s := range all {
			names = append(names, s.Resource.Name())
		}
		return err
	})
	return names
}

// completeJoin offers the newest joins.
func (c *cli) completeJoin(cmd *cobra.Command, args []string, _ string) (ids []string, directive cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c.quietly(cmd, func(ctx context.Context, b *backend) error {
		for r, err := range b.store.Joins(ctx, store.Query{Limit: 20}) {
			if err != nil {
				continue // a damaged record; after any other error there is no more
			}
			ids = append(ids, r.JoinID+"\t"+ago(c.now(), r.Time)+", "+r.Code+", "+r.Token)
		}
		return nil
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// quietly asks the store, for as long as a person waits for a completion.
func (c *cli) quietly(cmd *cobra.Command, ask func(context.Context, *backend) error) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	b, err := c.open(ctx, false)
	if err != nil {
		return
	}
	defer b.close()
	_ = ask(ctx, b) // what was found before an error is offered
}
