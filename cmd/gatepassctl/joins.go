package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
)

// joinCommands are those about joins that were made, and about ending what they gave.
func (c *cli) joinCommands() []*cobra.Command {
	return []*cobra.Command{c.joinsCommand()}
}

func (c *cli) joinsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "joins",
		Short:   "look at the records of joins",
		Example: "  gatepassctl joins ls --refused --data ./gatepass-data\n  gatepassctl joins show 01JD2K6ZQ4V8T0N1M5R7W9X3YB",
		Args:    cobra.NoArgs,
		RunE:    needsCommand,
	}
	cmd.AddCommand(c.joinsLsCommand(), c.joinsShowCommand())
	return cmd
}

func (c *cli) joinsLsCommand() *cobra.Command {
	var (
		q     admin.Query
		since time.Duration
	)
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "list joins, newest first",
		Example: "  gatepassctl joins ls --since 24h --refused --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			if since > 0 {
				q.Since = c.now().Add(-since)
			}
			records, err := b.store.Joins(cmd.Context(), q)
			if err != nil {
				return err
			}
			return c.print(nonNil(records), func() { c.printJoins(records) })
		},
	}
	f := cmd.Flags()
	f.DurationVar(&since, "since", 0, "only joins of the last so long, such as 24h")
	f.StringVar(&q.Bot, "bot", "", "only joins of this bot")
	f.StringVar(&q.Token, "token", "", "only joins by this token rule")
	f.StringVar(&q.Code, "code", "", `only joins with this code; "ok" for those granted`)
	f.BoolVar(&q.Refused, "refused", false, "only joins that were refused")
	f.IntVar(&q.Limit, "limit", 50, "at most so many; 0 for all")
	return cmd
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (c *cli) printJoins(records []join.Record) {
	rows := [][]string{{"JOIN", "WHEN", "CODE", "BOT", "TOKEN", "FROM"}}
	for _, r := range records {
		rows = append(rows, []string{r.JoinID, ago(c.now(), r.Time), r.Code, r.Bot, r.Token, dash(r.SourceAddr)})
	}
	c.table(rows)
}

func (c *cli) joinsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show JOIN_ID",
		Short:   "show one join: the claims, the rules and what did not match",
		Example: "  gatepassctl joins show 01JD2K6ZQ4V8T0N1M5R7W9X3YB --data ./gatepass-data",
		Args:    exactly("JOIN_ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			record, err := b.store.Join(cmd.Context(), args[0])
			if errors.Is(err, join.ErrNotFound) {
				return failed("a join that was refused before its ID token was verified leaves a line in the service's log only; see gatepassctl joins ls",
					"there is no record of join %s", args[0])
			}
			if err != nil {
				return err
			}
			return c.print(record, func() { c.printJoin(record) })
		},
	}
}

func (c *cli) printJoin(r join.Record) {
	red, bold := c.colours(c.out)
	code := bold(r.Code)
	if r.Code != join.CodeOK {
		code = red(r.Code)
	}
	rows := [][]string{
		{"join", r.JoinID},
		{"when", stamp(r.Time) + " (" + ago(c.now(), r.Time) + ")"},
		{"outcome", code},
	}
	if r.Detail != "" {
		rows = append(rows, []string{"detail", r.Detail})
	}
	rows = append(rows, []string{"bot", r.Bot}, []string{"token", r.Token + " (" + r.Method + ")"}, []string{"from", dash(r.SourceAddr)})
	if cl := r.Client; cl != nil {
		rows = append(rows, []string{"client", fmt.Sprintf("%s %s/%s", cl.Version, cl.OS, cl.Arch)})
	}
	if r.Rule != nil {
		list := "allow"
		if r.Code == "denied_by_rule" {
			list = "deny"
		}
		rows = append(rows, []string{"rule", fmt.Sprintf("%s[%d] matched", list, *r.Rule)})
	}
	if r.Lock != "" {
		rows = append(rows, []string{"lock", r.Lock})
	}
	if r.TTLSeconds > 0 {
		ttl := (time.Duration(r.TTLSeconds) * time.Second).String()
		if r.TTLLimitedBy != "" {
			ttl += ", limited by " + r.TTLLimitedBy
		}
		rows = append(rows, []string{"lifetime", ttl})
	}
	c.table(rows)

	c.printMismatches(r.Mismatches, r.MismatchesLeftOut)
	if len(r.Credentials) > 0 {
		fmt.Fprintf(c.out, "\n%s\n", bold("credentials"))
		rows := [][]string{{"NAME", "TYPE", "FOR", "ROLES", "UNTIL", "SERIAL"}}
		for _, cr := range r.Credentials {
			kind := strings.TrimSuffix(cr.Type+" "+cr.Usage, " ")
			who := dash(strings.TrimPrefix(cr.Subject+" "+strings.Join(cr.Principals, ","), " "))
			rows = append(rows, []string{cr.Name, kind, who, dash(strings.Join(cr.Roles, ",")), stamp(cr.ExpiresAt), cr.Serial})
		}
		c.table(rows)
	}
	fmt.Fprintf(c.out, "\n%s\n", bold("claims of the ID token"))
	var claims [][]string
	for name, value := range r.Claims {
		claims = append(claims, []string{name, fmt.Sprint(value)})
	}
	slices.SortFunc(claims, func(x, y []string) int { return strings.Compare(x[0], y[0]) })
	c.table(claims)
}

// printMismatches says for each allow rule what did not match.
func (c *cli) printMismatches(all []join.RuleMismatch, leftOut int) {
	if len(all) == 0 {
		return
	}
	_, bold := c.colours(c.out)
	fmt.Fprintf(c.out, "\n%s\n", bold("why no rule matched"))
	rows := [][]string{{"RULE", "FIELD", "RULE WANTS", "JOB PRESENTED"}}
	for _, m := range all {
		for _, f := range m.Fields {
			rows = append(rows, []string{fmt.Sprintf("allow[%d]", m.Rule), f.Field, f.Want, presented(f.Got)})
		}
	}
	c.table(rows)
	if leftOut > 0 {
		fmt.Fprintf(c.out, "and %s more\n", plural(leftOut, "rule", "rules"))
	}
}

func presented(got []string) string {
	if len(got) == 0 {
		return "(absent)"
	}
	return strings.Join(got, ", ")
}
