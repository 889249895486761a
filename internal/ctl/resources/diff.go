package resources

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

// exitDiffers says that diff found differences. It is no exit code of a failure:
// a script that takes one for the other would roll out nothing, or blindly.
const exitDiffers = 3

func (c *commands) diffCommand() *cobra.Command {
	f := applyFlags{dryRun: true}
	cmd := &cobra.Command{
		Use:   "diff -f FILE|DIR|-",
		Short: "show how files differ from what is stored",
		Long: `diff shows, field by field, what gatepassctl apply with the same flags would change,
and stores nothing. The exit code is 0 if nothing would change, 3 if something
would, and 1 or 2 if it could not be told.`,
		Example: `  gatepassctl diff -f rules/ --data ./gatepass-data
  gatepassctl diff -f rules/ --prune --selector team=shop`,
		Args: cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error { return c.diff(ctx, b, &f) }),
	}
	c.filesFlag(cmd, &f)
	f.addPrune(cmd)
	c.OutputFlag(cmd)
	return cmd
}

func (c *commands) diff(ctx context.Context, b ctl.Backend, f *applyFlags) error {
	state, err := admin.Read(ctx, b.Store())
	if err != nil {
		return err
	}
	p, err := c.plan(state, f)
	if err != nil {
		return err
	}
	differs := p.onlyChanges()
	reports, err := p.report()
	if err != nil {
		return err
	}
	if err := c.Print(stepsAnswer{reports}, func() {
		for i, r := range reports {
			c.printStep(r, p.steps[i], dryRun)
		}
		c.warnOf(p)
	}); err != nil || !differs {
		return err
	}
	return cli.Exit(exitDiffers)
}

// onlyChanges leaves out what stays as the files say, whoever wrote it, and
// reports whether anything is left.
func (p *plan) onlyChanges() bool {
	changes := p.steps[:0:0]
	for _, s := range p.steps {
		if s.Action != admin.Unchanged && s.Action != admin.Adopt {
			changes = append(changes, s)
		}
	}
	p.steps = changes
	return len(changes) > 0
}

// warnOf tells what apply would refuse without another flag.
func (c *commands) warnOf(p *plan) {
	if p.everything {
		fmt.Fprintf(c.Err, "warning: everything that carries %s would go: apply needs --force\n", p.selector)
	}
	for _, o := range p.state.Orphans(p.steps) {
		fmt.Fprintf(c.Err, "warning: %s is still used by %s: apply needs --force\n", o.ID, shortened(o.UsedBy))
	}
	if len(p.undone(c.Now())) > 0 {
		fmt.Fprintf(c.Err, "warning: this undoes what gatepassctl edit wrote: apply needs --overwrite\n")
	}
}
