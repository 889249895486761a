package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

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
			record, err := b.store.Join(cmd.Context(), joinID(args[0]))
			if errors.Is(err, store.ErrNotFound) {
				return noRecord(args[0])
			}
			if err != nil {
				return err
			}
			return c.print(record, func() { c.printJoin(record) })
		},
	}
}

// joinID finds the join id in what people have: itself, or the key id of an SSH
// certificate, which sshd logs.
func joinID(s string) string {
	if strings.HasPrefix(s, "gatepass:") {
		s = s[strings.LastIndex(s, ":")+1:]
	}
	return strings.ToUpper(s)
}

func noRecord(id string) error {
	return failed("a join that was refused before its ID token was verified leaves a line in the service's log only; see gatepassctl joins ls",
		"there is no record of join %s", id)
}

// printJoin shows every field of a record.
func (c *cli) printJoin(r store.Record) {
	_, bold := c.colours(c.out)
	c.table(c.joinRows(r))
	c.printMismatches(r.Mismatches, r.MismatchesLeftOut)
	if len(r.Credentials) > 0 {
		fmt.Fprintf(c.out, "\n%s\n", bold("credentials"))
		rows := [][]string{{"NAME", "TYPE", "FOR", "ROLES", "UNTIL", "SERIAL"}}
		for _, cr := range r.Credentials {
			kind := strings.TrimSuffix(cr.Type+" "+cr.Usage, " ")
			who := dash(strings.TrimPrefix(cr.Subject+" "+strings.Join(cr.Principals, ","), " "))
			rows = append(rows, []string{plain(cr.Name), kind, plain(who), dash(strings.Join(cr.Roles, ",")), c.until(cr.ExpiresAt), cr.Serial})
		}
		c.table(rows)
	}
	fmt.Fprintf(c.out, "\n%s\n", bold("claims of the ID token"))
	var claims [][]string
	for name, value := range r.Claims {
		claims = append(claims, []string{plain(name), plain(claimText(value))})
	}
	slices.SortFunc(claims, func(x, y []string) int { return strings.Compare(x[0], y[0]) })
	c.table(claims)
}

// joinRows are the fields of a record that have one value.
func (c *cli) joinRows(r store.Record) [][]string {
	red, bold := c.colours(c.out)
	code := bold(r.Code)
	if r.Code != store.CodeOK {
		code = red(r.Code)
	}
	rows := [][]string{
		{"join", r.JoinID},
		{"when", stamp(r.Time) + " (" + ago(c.now(), r.Time) + ")"},
		{"outcome", code},
	}
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, plain(value)})
		}
	}
	row("detail", r.Detail)
	row("bot", dash(r.Bot))
	row("token", r.Token+" ("+r.Method+")")
	row("from", dash(r.SourceAddr))
	if cl := r.Client; cl != nil {
		row("client", fmt.Sprintf("%s %s/%s", cl.Version, cl.OS, cl.Arch))
	}
	if r.Rule != nil {
		list := "allow"
		if r.Code == string(api.CodeDeniedByRule) {
			list = "deny"
		}
		row("rule", fmt.Sprintf("%s[%d] matched", list, *r.Rule))
	}
	row("lock", r.Lock)
	if r.TTLSeconds > 0 {
		ttl := (time.Duration(r.TTLSeconds) * time.Second).String()
		if r.TTLLimitedBy != "" {
			ttl += ", limited by " + r.TTLLimitedBy
		}
		row("lifetime", ttl)
	}
	if r.Retry {
		row("retry", "yes: the same request was answered before, and these credentials end with those")
	}
	row("id token", "sha256:"+r.IDToken)
	if r.Digest != "" {
		row("request", "sha256:"+r.Digest)
	}
	return rows
}

// until is when something ends, and whether it has.
func (c *cli) until(t time.Time) string {
	if !t.After(c.now()) {
		return stamp(t) + " (over)"
	}
	return stamp(t)
}

// claimText is a claim in one line: text as it is, else JSON.
func claimText(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	text, err := json.Marshal(value)
	if err != nil { // it came out of JSON
		return fmt.Sprint(value)
	}
	return string(text)
}

// printMismatches says for each allow rule what did not match.
func (c *cli) printMismatches(all []store.RuleMismatch, leftOut int) {
	if len(all) == 0 {
		return
	}
	_, bold := c.colours(c.out)
	fmt.Fprintf(c.out, "\n%s\n", bold("why no rule matched"))
	rows := [][]string{{"RULE", "FIELD", "RULE WANTS", "JOB PRESENTED"}}
	for _, m := range all {
		for _, f := range m.Fields {
			rows = append(rows, []string{fmt.Sprintf("allow[%d]", m.Rule), f.Field, plain(f.Want), plain(presented(f.Got))})
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
