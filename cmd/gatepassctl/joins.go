package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// joinCommands are those about joins that were made, and about ending what they gave.
func (c *cli) joinCommands() []*cobra.Command {
	return []*cobra.Command{c.joinsCommand(), c.lockCommand(), c.unlockCommand(), c.revokeCommand()}
}

func (c *cli) joinsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "joins",
		Short:   "look at the records of joins",
		Example: "  gatepassctl joins ls --outcome refused --data ./gatepass-data\n  gatepassctl joins show 01JD2K6ZQ4V8T0N1M5R7W9X3YB",
		Args:    cobra.NoArgs,
		RunE:    needsCommand,
	}
	cmd.AddCommand(c.joinsLsCommand(), c.joinsShowCommand(), c.joinsExportCommand())
	return cmd
}

// joinsFilter is the flags that choose records.
type joinsFilter struct {
	since, until, bot, token, outcome string
	code                              string
	refused                           bool
}

func (f *joinsFilter) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.since, "since", "", "only joins since then: a time, or how long ago, such as 24h or 7d")
	flags.StringVar(&f.until, "until", "", "only joins before then")
	flags.StringVar(&f.bot, "bot", "", "only joins of this bot")
	flags.StringVar(&f.token, "token", "", "only joins by this token rule")
	flags.StringVar(&f.outcome, "outcome", "", "only joins that came to this: ok, refused, or a code such as no_rule_matched")
	// What --outcome says was said by two flags before.
	flags.StringVar(&f.code, "code", "", "")
	flags.BoolVar(&f.refused, "refused", false, "")
	for _, old := range []string{"code", "refused"} {
		_ = flags.MarkHidden(old)
	}
}

// query checks the flags.
func (f *joinsFilter) query(now time.Time) (q store.Query, err error) {
	q = store.Query{Bot: f.bot, Token: f.token, Code: f.code, Refused: f.refused}
	switch f.outcome {
	case "":
	case "refused":
		q.Refused = true
	default:
		q.Code = f.outcome
	}
	if _, known := api.Codes()[api.Code(q.Code)]; !known && q.Code != "" && q.Code != store.CodeOK {
		return q, misused("write ok, refused, or one of the codes in docs/errors.md", "no join comes to %q", q.Code)
	}
	if q.Since, err = pastTime("since", f.since, now); err != nil {
		return q, err
	}
	if q.Until, err = pastTime("until", f.until, now); err != nil {
		return q, err
	}
	if !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, misused("let --until be later than --since", "nothing lies between --since %s and --until %s", f.since, f.until)
	}
	return q, nil
}

func (c *cli) joinsLsCommand() *cobra.Command {
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
			q, err := filter.query(c.now())
			if err != nil {
				return err
			}
			if limit < 0 {
				return misused("write how many joins to show, or 0 for all", "--limit %d is less than none", limit)
			}
			if follow && !q.Until.IsZero() {
				return misused("leave one of them out", "--follow has no end, and --until is one")
			}
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			if follow {
				return c.followJoins(cmd.Context(), b.store, q)
			}
			q.Limit = limit
			records, damaged, err := store.Gather(b.store.Joins(cmd.Context(), q))
			if err != nil {
				return err
			}
			if err := c.print(nonNil(records), func() { c.printJoins(records) }); err != nil {
				return err
			}
			return c.damaged(damaged)
		},
	}
	filter.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many; 0 for all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with those that come")
	return cmd
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (c *cli) printJoins(records []store.Record) {
	rows := [][]string{{"JOIN", "WHEN", "CODE", "BOT", "TOKEN", "FROM"}}
	for _, r := range records {
		rows = append(rows, []string{r.JoinID, ago(c.now(), r.Time), r.Code, plain(r.Bot), plain(r.Token), dash(r.SourceAddr)})
	}
	c.table(rows)
}

// warn tells what is wrong and does not stop the command.
func (c *cli) warn(format string, args ...any) {
	_, bold := c.colours(c.err)
	fmt.Fprintf(c.err, "%s %s\n", bold("gatepassctl: warning:"), fmt.Sprintf(format, args...))
}

// damaged names records that could not be read, and makes the command fail if there
// are any: what it printed is not all.
func (c *cli) damaged(all []*store.DamagedError) error {
	for _, d := range all {
		c.warn("%v", d)
	}
	if len(all) == 0 {
		return nil
	}
	return failed("what they were is in the service's log, by their join ids", "%s could not be read", plural(len(all), "record", "records"))
}

// plain is text that a job chose, without what would move a terminal's cursor or
// change its colours.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
