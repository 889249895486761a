package joins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/internal/words"
)

const (
	// followEvery is how often followed joins are asked for.
	followEvery = 2 * time.Second
	// followBack is how far back each time. A record has the time at which its join
	// began, and is written when it ends.
	followBack = 2 * time.Minute
	// followTries is after how many failures in a row following ends.
	followTries = 5
)

// follower prints records once.
type follower struct {
	c    *commands
	seen map[string]followed // by join id
}

type followed struct {
	outcome string
	at      time.Time
}

// followJoins prints the records that fit q and those that come, until ctx ends,
// which is how people stop it.
func (c *commands) followJoins(ctx context.Context, s store.Records, q store.Query) error {
	if q.Since.IsZero() {
		q.Since = c.Now().Add(-followBack)
	}
	q.OldestFirst = true
	f := &follower{c: c, seen: map[string]followed{}}
	if c.Format == "text" {
		f.row("JOIN", "WHEN", "CODE", "BOT", "TOKEN", "FROM")
	}
	for failures := 0; ; {
		asked := c.Now()
		err := f.print(ctx, s, q)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOutput):
			return err
		case err != nil:
			if failures++; failures == followTries {
				return err
			}
			c.Warn("%v; trying again", err)
		default:
			failures = 0
			if back := asked.Add(-followBack); back.After(q.Since) {
				q.Since = back
			}
		}
		f.forget(q.Since)
		if wait.For(ctx, followEvery) != nil {
			return nil
		}
	}
}

// errOutput says that nobody reads what is printed any longer.
var errOutput = errors.New("writing the output")

func (f *follower) print(ctx context.Context, s store.Records, q store.Query) error {
	for r, err := range s.Joins(ctx, q) {
		if damaged, ok := errors.AsType[*store.DamagedError](err); ok {
			if !f.known(damaged.JoinID, "damaged", f.c.Now()) {
				f.c.Warn("%v", damaged)
			}
			continue
		}
		if err != nil {
			return err
		}
		// One that was recorded before it failed is recorded again, with another code, and
		// one that counts others with another count.
		if f.known(r.JoinID, outcome(r), r.Time) {
			continue
		}
		if err := f.show(r); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
	}
	return nil
}

func (f *follower) known(id, outcome string, at time.Time) bool {
	before, ok := f.seen[id]
	f.seen[id] = followed{outcome, at}
	return ok && before.outcome == outcome
}

// forget drops what will not be read again.
func (f *follower) forget(since time.Time) {
	for id, seen := range f.seen {
		if seen.at.Before(since) {
			delete(f.seen, id)
		}
	}
}

func (f *follower) show(r store.Record) error {
	switch f.c.Format {
	case "json":
		return writeLine(f.c.Out, r)
	case "yaml":
		if _, err := fmt.Fprintln(f.c.Out, "---"); err != nil {
			return err
		}
		return f.c.PrintYAML(r)
	}
	return f.row(r.JoinID, ctl.Stamp(r.Time), outcome(r), words.Visible(r.Bot), words.Visible(r.Token), cmp.Or(r.SourceAddr, "-"))
}

// row writes columns of fixed widths: what comes later is not known yet.
func (f *follower) row(id, when, code, bot, token, from string) error {
	_, err := fmt.Fprintf(f.c.Out, "%-26s  %-20s  %-24s  %-16s  %-20s  %s\n", id, when, code, bot, token, from)
	return err
}
