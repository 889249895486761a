package ctl

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Completer returns what a word on the command line may be. It is quiet: whatever goes
// wrong, there is nothing to offer.
type Completer = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// CompleteFlag has a flag of cmd completed.
func CompleteFlag(cmd *cobra.Command, flag string, complete Completer) {
	_ = cmd.RegisterFlagCompletionFunc(flag, complete) // it fails only for a flag that there is not
}

// CompleteName offers the names of a kind's resources.
func (c *Env) CompleteName(kind rules.Kind) Completer {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return c.Names(cmd, kind), cobra.ShellCompDirectiveNoFileComp
	}
}

// Names returns the names of a kind's resources, for a completion.
func (c *Env) Names(cmd *cobra.Command, kind rules.Kind) (names []string) {
	c.quietly(cmd, func(ctx context.Context, b Backend) error {
		all, err := b.Store().List(ctx, kind)
		for _, s := range all {
			names = append(names, s.Resource.Name())
		}
		return err
	})
	return names
}

// CompleteJoin offers the newest joins.
func (c *Env) CompleteJoin(cmd *cobra.Command, args []string, _ string) (ids []string, directive cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c.quietly(cmd, func(ctx context.Context, b Backend) error {
		for r, err := range b.Store().Joins(ctx, store.Query{Limit: 20}) {
			if err != nil {
				continue // a damaged record; after any other error there is no more
			}
			ids = append(ids, r.JoinID+"\t"+Ago(c.Now(), r.Time)+", "+r.Code+", "+r.Token)
		}
		return nil
	})
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// quietly asks the store, for as long as a person waits for a completion.
func (c *Env) quietly(cmd *cobra.Command, ask func(context.Context, Backend) error) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	b, err := c.Open(ctx)
	if err != nil {
		return
	}
	defer b.Close()
	_ = ask(ctx, b) // what was found before an error is offered
}
