package resources

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
)

type rmFlags struct {
	force, dryRun, ignoreMissing bool
}

func (c *commands) rmCommand() *cobra.Command {
	var (
		f    rmFlags
		refs []ref
	)
	cmd := &cobra.Command{
		Use:   "rm KIND/NAME…",
		Short: "remove resources",
		Long: `rm removes resources, up to 100 in one transaction: all of them or none. It refuses
to remove a role that a bot has, or a bot that a token rule is for, unless these
are removed by the same command.`,
		Example: `  gatepassctl rm token/example-bot --data ./gatepass-data
  gatepassctl rm token/example-bot bot/example role/deployer
  gatepassctl rm lock stop-example`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: c.completeID,
		PreRunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 0 {
				return cli.Missing(cmd, "KIND/NAME")
			}
			refs, err = removable(args)
			return err
		},
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error { return c.remove(ctx, b, refs, f) }),
	}
	cmd.Flags().BoolVar(&f.force, "force", false, "remove them even if others refer to them: their joins will be refused")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would be removed, and remove nothing")
	cmd.Flags().BoolVar(&f.ignoreMissing, "ignore-not-found", false, "pass over what does not exist")
	c.OutputFlag(cmd)
	return cmd
}

// removable reads names of resources, each of one.
func removable(args []string) ([]ref, error) {
	refs, err := parseRefs(args)
	if err != nil {
		return nil, err
	}
	for _, r := range refs {
		switch {
		case r.name == "":
			return nil, cli.Misused("the name is missing").Hint("write gatepassctl rm %s/NAME", r.kind)
		case r.isPattern():
			return nil, cli.Misused("%s is a pattern, and rm takes none", r).Hint("write the names, as gatepassctl get -o name tells them")
		}
	}
	return refs, nil
}

func (c *commands) remove(ctx context.Context, b ctl.Backend, refs []ref, f rmFlags) error {
	state, err := admin.Read(ctx, b.Store())
	if err != nil {
		return err
	}
	p, err := planRemoval(state, refs, f.ignoreMissing)
	if err != nil {
		return err
	}
	if !f.force {
		if err := p.orphaned("nothing was removed"); err != nil {
			return err
		}
	}
	c.warnInvalid(state.Invalid(p.steps))
	p.findUnlocks(c.Now())
	if f.dryRun {
		return c.printSteps(b, p, dryRun)
	}
	if err := c.execute(ctx, b.Store(), p.steps); err != nil {
		return err
	}
	return c.printSteps(b, p, done)
}

func planRemoval(state admin.State, refs []ref, ignoreMissing bool) (*plan, error) {
	p := &plan{state: state}
	var missing []string
	var near string
	seen := map[ref]bool{}
	for _, r := range refs {
		if seen[r] {
			continue
		}
		seen[r] = true
		step, err := state.PlanRemove(r.kind, r.name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			missing = append(missing, r.String()+" does not exist")
			near = cmp.Or(near, nearest(r, state.Choose(admin.Filter{})))
		case err != nil:
			return nil, err
		default:
			p.steps = append(p.steps, step)
		}
	}
	if len(missing) > 0 && !ignoreMissing {
		return nil, cli.Failed("%s; nothing was removed", atMost(missing)).Hint("%ssee what there is with gatepassctl get all, or write --ignore-not-found", near)
	}
	admin.Sort(p.steps)
	return p, nil
}
