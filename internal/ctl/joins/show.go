package joins

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func (c *commands) joinsShowCommand() *cobra.Command {
	return &cobra.Command{
		ValidArgsFunction: c.CompleteJoin,

		Use:     "show JOIN_ID",
		Short:   "show one join: the claims, the rules and what did not match",
		Example: "  gatepassctl joins show 01JD2K6ZQ4V8T0N1M5R7W9X3YB --data ./gatepass-data",
		Args:    cli.Exactly("JOIN_ID"),
		RunE: c.On(func(ctx context.Context, b ctl.Backend, args []string) error {
			record, err := ctl.Join(ctx, b.Store(), args[0])
			if err != nil {
				return err
			}
			return c.Print(record, func() { c.printJoin(record) })
		}),
	}
}

// printJoin shows every field of a record.
func (c *commands) printJoin(r store.Record) {
	c.Table(c.joinRows(r))
	c.printMismatches(r.Mismatches, r.MismatchesLeftOut)
	if len(r.Credentials) > 0 {
		rows := [][]string{{"NAME", "TYPE", "FOR", "ROLES", "UNTIL", "SERIAL"}}
		for _, cr := range r.Credentials {
			kind := strings.TrimSuffix(cr.Type+" "+cr.Usage, " ")
			who := cmp.Or(strings.TrimPrefix(cr.Subject+" "+strings.Join(cr.Principals, ","), " "), "-")
			rows = append(rows, []string{words.Visible(cr.Name), kind, words.Visible(who), cmp.Or(strings.Join(cr.Roles, ","), "-"), c.until(cr.ExpiresAt), cr.Serial})
		}
		c.Section("credentials", rows)
	}
	var claims [][]string
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		claims = append(claims, []string{words.Visible(name), words.Visible(claimText(r.Claims[name]))})
	}
	c.Section("claims of the ID token", claims)
}

// joinRows are the fields of a record that have one value.
func (c *commands) joinRows(r store.Record) [][]string {
	style := c.Style(c.Out)
	red, bold := style.Red, style.Bold
	code := bold(r.Code)
	if r.Code != store.CodeOK {
		code = red(r.Code)
	}
	rows := [][]string{
		{"join", r.JoinID},
		{"when", ctl.Stamp(r.Time) + " (" + ctl.Ago(c.Now(), r.Time) + ")"},
		{"outcome", code},
	}
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, words.Visible(value)})
		}
	}
	row("detail", r.Detail)
	if r.Repeated > 0 {
		row("repeated", fmt.Sprintf("%d times or more within a minute, without records of their own; the claims are in the records before", r.Repeated))
	}
	row("bot", cmp.Or(r.Bot, "-"))
	row("token", r.Token+" ("+r.Method+")")
	row("from", cmp.Or(r.SourceAddr, "-"))
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
	if r.RetryOf != "" {
		row("retry of", r.RetryOf+": the same request, answered before; these credentials have its serials and its end")
	}
	row("id token", "sha256:"+r.IDToken)
	if r.Digest != "" {
		row("request", "sha256:"+r.Digest)
		row("bound", bound(r))
	}
	if r.ClaimsCut > 0 {
		row("claims cut", fmt.Sprintf("%s, shortened or left out because the record was too large", ctl.Plural(r.ClaimsCut, "claim", "claims")))
	}
	if r.ValuesCut > 0 {
		row("values cut", fmt.Sprintf("%s, shortened or left out because the record was too large", ctl.Plural(r.ValuesCut, "value", "values")))
	}
	return rows
}

// bound says which request the ID token was good for.
func bound(r store.Record) string {
	switch r.Bound {
	case "":
		return "no: the ID token was good for any request"
	case r.Digest:
		return "yes, to this request"
	}
	return "to another request, sha256:" + r.Bound
}

// until is when something ends, and whether it has.
func (c *commands) until(t time.Time) string {
	if !t.After(c.Now()) {
		return ctl.Stamp(t) + " (over)"
	}
	return ctl.Stamp(t)
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
func (c *commands) printMismatches(all []store.RuleMismatch, leftOut int) {
	if len(all) == 0 {
		return
	}
	rows := [][]string{{"RULE", "FIELD", "RULE WANTS", "JOB PRESENTED"}}
	for _, m := range all {
		for _, f := range m.Fields {
			rows = append(rows, []string{fmt.Sprintf("allow[%d]", m.Rule), f.Field, words.Visible(f.Want), ctl.Presented(f.Got)})
		}
	}
	c.Section("why no rule matched", rows)
	if leftOut > 0 {
		fmt.Fprintf(c.Out, "and %s more\n", ctl.Plural(leftOut, "rule", "rules"))
	}
}
