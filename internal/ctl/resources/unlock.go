package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (c *commands) unlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unlock",
		Short: "let joins go on that were locked",
		Long: `unlock removes every lock of a target, or one lock by its name. If another lock
stops the target all the same, it says which.`,
		Example: "  gatepassctl unlock bot example --stack gatepass\n  gatepassctl unlock lock bot-example",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	for _, kind := range []rules.Kind{rules.KindBot, rules.KindToken, rules.KindRole} {
		cmd.AddCommand(&cobra.Command{
			Use:     string(kind) + " NAME",
			Short:   "remove the locks of a " + string(kind),
			Example: "  gatepassctl unlock " + string(kind) + " example --data ./gatepass-data",
			Args:    cli.Exactly("NAME"),
			RunE: c.On(func(ctx context.Context, b ctl.Backend, args []string) error {
				return c.unlock(ctx, b, targetOf(kind, args[0]))
			}),
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "all",
		Short:   "remove the locks that stop everything; others stay",
		Example: "  gatepassctl unlock all --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
			return c.unlock(ctx, b, rules.Target{All: true})
		}),
	}, &cobra.Command{
		Use:     "lock NAME",
		Short:   "remove one lock by its name",
		Example: "  gatepassctl unlock lock bot-example --data ./gatepass-data",
		Args:    cli.Exactly("NAME"),
		RunE: c.On(func(ctx context.Context, b ctl.Backend, args []string) error {
			name := strings.TrimPrefix(args[0], "lock/")
			return c.unlockWhere(ctx, b, lockFilter{
				func(l *rules.Lock) bool { return l.Name() == name },
				func(l *rules.Lock) string { return l.Name() }, name,
				"there is no lock/" + name, "gatepassctl unlock lock ",
			})
		}),
	})
	return cmd
}

func (c *commands) unlock(ctx context.Context, b ctl.Backend, t rules.Target) error {
	return c.unlockWhere(ctx, b, lockFilter{
		func(l *rules.Lock) bool { return l.Target == t },
		func(l *rules.Lock) string { return targetWords(l.Target) }, targetWords(t),
		"no lock stops " + admin.TargetID(t) + " by itself", "gatepassctl unlock ",
	})
}

// lockFilter is which locks are removed, and how people name them.
type lockFilter struct {
	fits    func(*rules.Lock) bool
	name    func(*rules.Lock) string
	wanted  string
	none    string // what is said if no lock fits
	command string // before a name
}

// near begins a hint with the lock that was likely meant.
func (f lockFilter) near(ctx context.Context, s store.Resources) string {
	stored, _ := s.List(ctx, rules.KindLock) // it is only a hint
	var names []string
	for _, one := range stored {
		if l, ok := one.Resource.(*rules.Lock); ok {
			names = append(names, f.name(l))
		}
	}
	return ctl.DidYouMean(f.command, words.Nearest(f.wanted, names))
}

// unlockWhere removes the locks that fit.
func (c *commands) unlockWhere(ctx context.Context, b ctl.Backend, f lockFilter) error {
	s := b.Store()
	removed, err := admin.Unlock(ctx, s, f.fits, c.Now())
	if errors.Is(err, store.ErrNotFound) {
		return cli.Failed("%s", f.none).Hint("%ssee what is locked with gatepassctl lock ls", f.near(ctx, s))
	}
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		return cli.Failed("%w; nothing was unlocked", conflict).Hint("look at it with gatepassctl lock ls, then run the command again")
	}
	if err != nil {
		return err
	}
	type answer struct {
		Lock   string `json:"lock"`
		Target string `json:"target"`
	}
	answers := make([]answer, len(removed))
	for i, l := range removed {
		answers[i] = answer{l.Name(), admin.TargetID(l.Target)}
	}
	if err := c.PrintChange(b, struct {
		Unlocked []answer `json:"unlocked"`
	}{answers}, func() {
		for _, a := range answers {
			fmt.Fprintf(c.Out, "unlocked %s (lock/%s)\n", a.Target, a.Lock)
		}
	}); err != nil {
		return err
	}
	still, err := admin.StillLocked(ctx, s, removed[0].Target, c.Now())
	if err != nil || still == nil {
		return err
	}
	c.Warn("%s is still stopped: lock/%s stops %s", admin.TargetID(removed[0].Target), still.Name(), admin.TargetID(still.Target))
	return nil
}
