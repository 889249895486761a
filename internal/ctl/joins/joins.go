// Package joins has the commands of gatepassctl that show the records of joins.
package joins

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Command is joins.
func Command(env *ctl.Env) *cobra.Command {
	c := &commands{env}
	cmd := &cobra.Command{
		Use:     "joins",
		Short:   "look at the records of joins",
		Example: "  gatepassctl joins ls --outcome refused --data ./gatepass-data\n  gatepassctl joins show 01JD2K6ZQ4V8T0N1M5R7W9X3YB",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	cmd.AddCommand(c.joinsLsCommand(), c.joinsShowCommand(), c.joinsExportCommand())
	return cmd
}

// commands are those of this package.
type commands struct{ *ctl.Env }

// joinsFilter is the flags that choose records.
type joinsFilter struct {
	since, until, bot, token, outcome string
}

func (f *joinsFilter) flags(cmd *cobra.Command, env *ctl.Env) {
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "", "only joins since then: a time, or how long ago, such as 24h or 7d")
	flags.StringVar(&f.until, "until", "", "only joins before then")
	flags.StringVar(&f.bot, "bot", "", "only joins of this bot")
	flags.StringVar(&f.token, "token", "", "only joins by this token rule")
	flags.StringVar(&f.outcome, "outcome", "", "only joins that came to this: ok, refused, or a code such as no_rule_matched")
	cli.Complete(cmd, "outcome", outcomes()...)
	ctl.CompleteFlag(cmd, "bot", env.CompleteName(rules.KindBot))
	ctl.CompleteFlag(cmd, "token", env.CompleteName(rules.KindToken))
}

// outcomes are what --outcome may be.
func outcomes() []string {
	all := []string{store.CodeOK, "refused"}
	for code := range api.Codes() {
		all = append(all, string(code))
	}
	slices.Sort(all)
	return all
}

// query checks the flags.
func (f *joinsFilter) query(now time.Time) (q store.Query, err error) {
	q = store.Query{Bot: f.bot, Token: f.token}
	switch f.outcome {
	case "":
	case "refused":
		q.Refused = true
	default:
		q.Code = f.outcome
	}
	if _, known := api.Codes()[api.Code(q.Code)]; !known && q.Code != "" && q.Code != store.CodeOK {
		return q, cli.Misused("no join comes to %q", q.Code).Hint("write ok, refused, or one of the codes in docs/errors.md")
	}
	if q.Since, err = ctl.PastTime("since", f.since, now); err != nil {
		return q, err
	}
	if q.Until, err = ctl.PastTime("until", f.until, now); err != nil {
		return q, err
	}
	if !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, cli.Misused("nothing lies between --since %s and --until %s", f.since, f.until).Hint("let --until be later than --since")
	}
	return q, nil
}

// known refuses a name that nothing has: it would list nothing, as if nothing had joined.
func (f *joinsFilter) known(ctx context.Context, s store.Store) error {
	if err := ctl.KnownIf(ctx, s, rules.KindBot, f.bot); err != nil {
		return err
	}
	return ctl.KnownIf(ctx, s, rules.KindToken, f.token)
}

func (c *commands) joinsLsCommand() *cobra.Command {
	var (
		filter joinsFilter
		limit  int
		follow bool
	)
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "list joins, newest first",
		Long: `ls lists the records of joins, newest first. With --follow it goes on with those
that come, oldest first, until it is interrupted; the others of the last minutes
stand before them.`,
		Example: "  gatepassctl joins ls --since 24h --outcome refused --data ./gatepass-data\n  gatepassctl joins ls --bot example --follow --stack gatepass",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := filter.query(c.Now())
			if err != nil {
				return err
			}
			if limit < 0 {
				return cli.Misused("--limit %d is less than none", limit).Hint("write how many joins to show, or 0 for all")
			}
			if follow && !q.Until.IsZero() {
				return cli.Misused("--follow has no end, and --until is one").Hint("leave one of them out")
			}
			b, err := c.Open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.Close()
			if err := filter.known(cmd.Context(), b.Store()); err != nil {
				return err
			}
			if follow {
				return c.followJoins(cmd.Context(), b.Store(), q)
			}
			q.Limit = limit
			records, damaged, err := store.Gather(b.Store().Joins(cmd.Context(), q))
			if err != nil {
				return err
			}
			if err := c.Print(ctl.NonNil(records), func() { c.printJoins(records) }); err != nil {
				return err
			}
			return c.Damaged(damaged)
		},
	}
	filter.flags(cmd, c.Env)
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many; 0 for all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with those that come")
	return cmd
}

func (c *commands) printJoins(records []store.Record) {
	rows := [][]string{{"JOIN", "WHEN", "CODE", "BOT", "TOKEN", "FROM"}}
	for _, r := range records {
		rows = append(rows, []string{r.JoinID, ctl.Ago(c.Now(), r.Time), outcome(r), words.Visible(r.Bot), words.Visible(r.Token), cmp.Or(r.SourceAddr, "-")})
	}
	c.Table(rows)
}

// outcome is what a join came to, and how often where that is counted.
func outcome(r store.Record) string {
	if r.Repeated > 1 {
		return fmt.Sprintf("%s (%d or more)", r.Code, r.Repeated)
	}
	return r.Code
}
