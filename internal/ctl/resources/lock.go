package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (c *commands) lockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "stop joins of a bot, by a token rule, of a role, or all",
		Long: `lock stops joins from the next one on, without a deployment. Credentials that are
out already live until they end: see gatepassctl revoke. What is stored is a
resource of kind lock, as a file can have it. What to do when something has gone
wrong is in docs/incident.md.`,
		Example: "  gatepassctl lock bot example --message 'incident 42' --stack gatepass\n  gatepassctl lock all --yes --ttl 4h",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	for _, of := range []struct {
		kind rules.Kind
		what string
	}{
		{rules.KindBot, "the joins of a bot"},
		{rules.KindToken, "the joins by a token rule"},
		{rules.KindRole, "the joins of every bot that has a role"},
	} {
		cmd.AddCommand(c.locking(&cobra.Command{
			Use:     string(of.kind) + " NAME",
			Short:   "stop " + of.what,
			Example: "  gatepassctl lock " + string(of.kind) + " example --message 'incident 42' --ttl 4h --data ./gatepass-data",
			Args:    cli.Exactly("NAME"),
		}, func(args []string) rules.Target { return targetOf(of.kind, args[0]) }))
	}
	cmd.AddCommand(c.lockAllCommand(), c.lockLsCommand())
	return cmd
}

// targetOf is what a lock of one bot, token rule or role stops.
func targetOf(kind rules.Kind, name string) rules.Target {
	switch kind {
	case rules.KindBot:
		return rules.Target{Bot: name}
	case rules.KindToken:
		return rules.Target{Token: name}
	}
	return rules.Target{Role: name}
}

// lockFlags say how to lock.
type lockFlags struct {
	message, ttl, expires string
	yes                   bool
}

// locking makes cmd lock a target.
func (c *commands) locking(cmd *cobra.Command, target func(args []string) rules.Target) *cobra.Command {
	var f lockFlags
	cmd.Flags().StringVar(&f.message, "message", "", "why; jobs that are refused are told it")
	cmd.Flags().StringVar(&f.ttl, "ttl", "", "unlock after so long, such as 4h or 2d")
	cmd.Flags().StringVar(&f.expires, "expires", "", "unlock at this time, such as 2026-01-31T08:00:00Z")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask: before everything is locked, or a name that nothing has")
	var expires time.Time
	cmd.PreRunE = func(cmd *cobra.Command, args []string) (err error) {
		expires, err = f.end(c.Now())
		return err
	}
	cmd.RunE = c.On(func(ctx context.Context, b ctl.Backend, args []string) error {
		return c.lock(ctx, b, target(args), f, expires)
	})
	return cmd
}

func (c *commands) lockAllCommand() *cobra.Command {
	return c.locking(&cobra.Command{
		Use:     "all",
		Short:   "stop every join: the emergency stop",
		Example: "  gatepassctl lock all --yes --message 'incident 42' --stack gatepass",
		Args:    cobra.NoArgs,
	}, func([]string) rules.Target { return rules.Target{All: true} })
}

func (c *commands) lockLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list the locks, as gatepassctl get lock does",
		Example: "  gatepassctl lock ls --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
			all, err := b.Store().List(ctx, rules.KindLock)
			if err != nil {
				return err
			}
			return c.printList(all, getFlags{})
		}),
	}
}

// end is when a lock ends; the zero time if it is to be unlocked by hand.
func (f lockFlags) end(now time.Time) (time.Time, error) {
	switch {
	case f.ttl != "" && f.expires != "":
		return time.Time{}, cli.Misused("--ttl and --expires both say when the lock ends").Hint("leave one of them out")
	case f.ttl != "":
		d, ok := ctl.ParseSpan(f.ttl)
		if !ok || d <= 0 {
			return time.Time{}, cli.Misused("--ttl %q is no length of time", f.ttl).Hint("write it like 4h or 2d")
		}
		return now.Add(d).UTC().Truncate(time.Second), nil
	case f.expires != "":
		t, ok := ctl.ParseTime(f.expires)
		if !ok {
			return time.Time{}, cli.Misused("--expires %q is no time", f.expires).Hint("write it like 2026-01-31T08:00:00Z")
		}
		if !t.After(now) {
			return time.Time{}, cli.Misused("--expires %s is over", f.expires).Hint("write a time to come, or leave it out")
		}
		return t, nil
	}
	return time.Time{}, nil
}

func (c *commands) lock(ctx context.Context, b ctl.Backend, target rules.Target, f lockFlags, expires time.Time) error {
	if !f.yes {
		if err := c.confirmLock(ctx, b, target); err != nil {
			return err
		}
	}
	lock, err := admin.Lock(ctx, b.Store(), target, f.message, expires, c.Now())
	if longer, ok := errors.AsType[*admin.LongerError](err); ok {
		return cli.Failed("%s: %s", admin.TargetID(target), longer).Hint("unlock it first if it shall end earlier: %s", unlockLine(target))
	}
	if errors.Is(err, admin.ErrTarget) {
		return cli.Misused("%w", err).Hint("see gatepassctl get for the names there are")
	}
	if err != nil {
		return err
	}
	return c.printLocked(b, lock, stopped(ctx, b.Store(), target))
}

// stopped are the bots that a lock of a role stops: more than was named. It returns nil for
// another target, and if the bots cannot be read: the role is locked all the same.
func stopped(ctx context.Context, s store.Resources, t rules.Target) []string {
	if t.Role == "" {
		return nil
	}
	state, err := admin.Read(ctx, s)
	if err != nil {
		return nil
	}
	bots := []string{}
	for _, one := range state.Choose(admin.Filter{Role: t.Role}) {
		if one.Resource.Kind() == rules.KindBot {
			bots = append(bots, one.Resource.Name())
		}
	}
	return bots
}

// confirmLock asks before everything is locked, and before a lock of what there is not: a
// slip in a name would leave the joins going that somebody wants to stop.
func (c *commands) confirmLock(ctx context.Context, b ctl.Backend, target rules.Target) error {
	if target.All {
		whose := "all bots" // what cannot be read stops nobody in an emergency
		if bots, err := b.Store().List(ctx, rules.KindBot); err == nil {
			whose = ctl.Plural(len(bots), "bot", "bots")
		}
		return c.Confirm(fmt.Sprintf("This refuses every join of every job, of %s in %s", whose, b), "all")
	}
	kind, name, _ := strings.Cut(admin.TargetID(target), "/")
	if _, err := rules.CheckField("name", name); err != nil {
		return nil // the lock is refused for it
	}
	err := ctl.KnownLately(ctx, b.Store(), rules.Kind(kind), name, c.Now())
	unknown, ok := errors.AsType[*ctl.UnknownError](err)
	if !ok {
		return err
	}
	if err := c.Confirm("T"+unknown.Error()[1:], name); err != nil {
		hints := cli.Of(err).Hints
		return cli.Misused("%w", unknown).Hint("%s%s", ctl.DidYouMean("gatepassctl lock "+kind+" ", unknown.Nearest), strings.Join(hints, "; "))
	}
	return nil
}

// lockedAnswer is what lock prints for machines.
type lockedAnswer struct {
	Target string     `json:"target"`
	From   time.Time  `json:"from"`
	Until  *time.Time `json:"until,omitempty"`
	// Bots are those that have the role that is locked.
	Bots []string        `json:"bots,omitempty"`
	Lock json.RawMessage `json:"lock"`
}

func (c *commands) printLocked(b ctl.Backend, lock *rules.Lock, bots []string) error {
	resource, err := resourceJSON(lock)
	if err != nil {
		return err
	}
	now := c.Now().UTC().Truncate(time.Second)
	answer := lockedAnswer{Target: admin.TargetID(lock.Target), From: now, Bots: bots, Lock: resource}
	until := "until it is unlocked: " + unlockLine(lock.Target)
	if !lock.Expires.IsZero() {
		until, answer.Until = "until "+ctl.Stamp(lock.Expires), &lock.Expires
	}
	return c.PrintChange(b, answer, func() {
		fmt.Fprintf(c.Out, "locked %s from %s %s\n", answer.Target, ctl.Stamp(now), until)
		if bots != nil {
			fmt.Fprintln(c.Out, strings.TrimSuffix(ctl.Plural(len(bots), "bot has", "bots have")+" the role: "+shortened(bots), ": "))
		}
		fmt.Fprintf(c.Out, "the next join is refused, without a deployment (lock/%s)\n", lock.Name())
		fmt.Fprintln(c.Out, "what was issued before goes on working until it ends: "+revokeLine(lock.Target))
	})
}

func unlockLine(t rules.Target) string {
	return "gatepassctl unlock " + targetWords(t)
}

// revokeLine is how to end what a target's joins gave.
func revokeLine(t rules.Target) string {
	if t.Role != "" {
		return "gatepassctl revoke bot NAME, for each bot of the role"
	}
	return "gatepassctl revoke " + targetWords(t)
}

func targetWords(t rules.Target) string {
	if t.All {
		return "all"
	}
	return strings.Replace(admin.TargetID(t), "/", " ", 1)
}
