package resources

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (c *commands) printExplanation(e admin.Explanation) {
	bold := c.Style(c.Out).Bold
	rows := [][]string{{"CHECK", "RESULT", "DETAIL"}}
	for _, check := range e.Checks {
		rows = append(rows, []string{check.Name, check.Code, words.Visible(check.Detail)})
	}
	c.Table(rows)
	c.printVerdicts(e.Rules)
	if len(e.Presented) > 0 {
		var rows [][]string
		for _, field := range slices.Sorted(maps.Keys(e.Presented)) {
			rows = append(rows, []string{field, words.Visible(strings.Join(e.Presented[field], ", "))})
		}
		c.Section("what the job presents", rows)
	}
	c.printGrants(e)
	verdict := "would join"
	if e.Code != store.CodeOK {
		verdict = "would be refused: " + e.Code
	}
	fmt.Fprintf(c.Out, "\n%s\n", bold(verdict))
	c.printRecorded(e.Recorded)
}

// printVerdicts shows each rule, field by field.
func (c *commands) printVerdicts(all []rules.RuleComparison) {
	if len(all) == 0 {
		return
	}
	rows := [][]string{{"", "RULE", "FIELD", "RULE WANTS", "JOB PRESENTED"}}
	for _, v := range all {
		name := fmt.Sprintf("%s[%d]", v.List, v.Rule)
		for _, f := range v.Fields {
			rows = append(rows, []string{tick(f.Matches), name, f.Field, f.Want, ctl.Presented(f.Got)})
		}
		verdict := "does not match"
		switch {
		case v.Matches && v.List == "deny":
			verdict = "matches: the job is refused"
		case v.Matches:
			verdict = "matches"
		}
		rows = append(rows, []string{tick(v.Matches), name, verdict, "", ""})
	}
	c.Section("the rules, field by field", rows)
}

func tick(matches bool) string {
	if matches {
		return "✔"
	}
	return "✖"
}

func (c *commands) printGrants(e admin.Explanation) {
	if e.SSH == nil {
		return
	}
	bold := c.Style(c.Out).Bold
	fmt.Fprintf(c.Out, "\n%s\n", bold("what its roles grant"))
	if len(e.Grants) > 0 {
		rows := [][]string{{"ROLE", "GRANTS"}}
		for _, g := range e.Grants {
			rows = append(rows, []string{g.Role, g.Grants})
		}
		c.Table(rows)
	}
	if s := e.SSH; s.Refused != "" {
		fmt.Fprintf(c.Out, "no SSH certificate: %s\n", s.Refused)
	} else {
		fmt.Fprintf(c.Out, "SSH certificate for %s%s\n", strings.Join(s.Principals, ", "), sshLimits(s))
	}
	limit := ", which nothing limits"
	if e.TTLLimitedBy != "" {
		limit = ", limited by " + e.TTLLimitedBy
	}
	fmt.Fprintf(c.Out, "lifetime %s by default%s\n", time.Duration(e.TTLSeconds)*time.Second, limit)
}

func sshLimits(s *admin.SSHGrant) string {
	var parts []string
	if len(s.Extensions) > 0 {
		parts = append(parts, strings.Join(s.Extensions, ", "))
	}
	if s.ForceCommand != "" {
		parts = append(parts, fmt.Sprintf("only the command %q", s.ForceCommand))
	}
	if s.PinSourceIP {
		parts = append(parts, "from the caller's address only")
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, "; ")
}

// printRecorded says how the verdict differs from the one that was recorded.
func (c *commands) printRecorded(r *admin.Recorded) {
	if r == nil {
		return
	}
	verdict := "and the rules say the same now"
	switch {
	case r.Note != "":
		verdict = "and " + r.Note
	case r.Differs:
		verdict = "and the rules say otherwise now"
	}
	fmt.Fprintf(c.Out, "join %s %s was recorded as %s, %s\n", r.JoinID, ctl.Ago(c.Now(), r.Time), r.Code, words.Visible(verdict))
}
