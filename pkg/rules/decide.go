package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Claims are the claims of a job that rules can test, by the names of the
// rules' fields. A field whose claim is a list has all of its values; every other field
// has one. A field that is absent or empty never matches.
type Claims map[string][]string

// Outcome is what the rules say of a job.
type Outcome int

// The outcomes. NoMatch is the zero value: what no rule allows is refused.
const (
	NoMatch Outcome = iota // no rule matches: refused
	Allowed                // an allow rule matches, and no deny rule
	Denied                 // a deny rule matches: refused, whatever allow rules say
)

// String returns "no match", "allowed" or "denied".
func (o Outcome) String() string {
	switch o {
	case NoMatch:
		return "no match"
	case Allowed:
		return "allowed"
	case Denied:
		return "denied"
	}
	return fmt.Sprintf("outcome %d", int(o))
}

// FieldMismatch is a field of a rule that the job does not match.
type FieldMismatch struct {
	Field string
	Want  string   // the rule's value
	Got   []string // the job's; empty if the claim is absent
}

// RuleMismatch says what of an allow rule a job does not match.
type RuleMismatch struct {
	Rule   int // counted from 0, as in allow[0]
	Fields []FieldMismatch
}

// Decision is what a token rule says of a job.
type Decision struct {
	Outcome Outcome
	// Rule is the number of the allow rule that matches, or of the deny rule,
	// counted from 0; -1 if none does.
	Rule int
	// Mismatches has every allow rule, if the outcome is NoMatch.
	Mismatches []RuleMismatch

	accepted map[string]bool // fields whose value some allow rule accepts
}

// UnmatchedFields returns, sorted, the fields whose value no allow rule accepts
// that names them. It tells no values, so that a caller may see it. If it is
// empty and the outcome is NoMatch, each value is accepted by some rule, and no
// one rule accepts them all.
func (d Decision) UnmatchedFields() []string {
	fields := map[string]bool{}
	for _, rule := range d.Mismatches {
		for _, f := range rule.Fields {
			if !d.accepted[f.Field] {
				fields[f.Field] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(fields))
}

// Decide says whether a job may join. Deny rules come first; then the first
// allow rule that matches lets the job in; then nothing does.
func (t *TokenRule) Decide(c Claims) Decision {
	m := t.matcher(c)
	for i, rule := range m.section.Deny {
		if m.denies(rule) {
			return Decision{Outcome: Denied, Rule: i}
		}
	}
	for i, rule := range m.section.Allow {
		if m.allows(rule) {
			return Decision{Outcome: Allowed, Rule: i}
		}
	}
	return m.explain()
}

// matcher holds one job against the rules of one CI.
type matcher struct {
	table   *provider.Provider
	section *provider.Section
	globs   bool
	job     Claims
}

// matcher has no rules if the token rule has no known method, or no section of it.
func (t *TokenRule) matcher(c Claims) matcher {
	m := matcher{table: provider.Of(t.JoinMethod), section: t.Section(), job: c}
	if m.table == nil {
		m.table, m.section = &provider.Provider{}, &provider.Section{}
	}
	m.globs = m.section.Is(provider.GlobSetting)
	return m
}

// allows reports whether a job matches every field that an allow rule names. A rule
// that names none matches nothing, nor does one that names a field there is not.
func (m matcher) allows(rule provider.Values) bool {
	for _, want := range rule {
		field := m.table.Field(want.Name)
		if field == nil || !m.accepts(field, want.Value) {
			return false
		}
	}
	return len(rule) > 0 && !m.barred(rule)
}

// denies reports the same of a deny rule. Of several values where one is due any will
// do, and a field that there is not keeps it from denying nothing.
func (m matcher) denies(rule provider.Values) bool {
	for _, want := range rule {
		field := m.table.Field(want.Name)
		if field != nil && want.Value != "" && !m.acceptsAny(field, want.Value) {
			return false
		}
	}
	return len(rule) > 0
}

// accepts reports whether the claim has the value that an allow rule wants: the only
// one, unless the CI's claim is a list.
func (m matcher) accepts(f *provider.Field, want string) bool {
	return (len(m.job[f.Name]) == 1 || f.Many) && m.acceptsAny(f, want)
}

func (m matcher) acceptsAny(f *provider.Field, want string) bool {
	return slices.ContainsFunc(m.job[f.Name], func(got string) bool { return m.equal(f, want, got) })
}

// equal compares a value as its form asks. What is empty equals nothing.
func (m matcher) equal(f *provider.Field, want, got string) bool {
	switch {
	case want == "" || got == "":
		return false
	case f.Form == provider.UUID:
		return provider.SameUUID(want, got)
	case f.Glob && m.globs:
		return globMatch(want, got)
	}
	return want == got
}

// barred reports that strangers may have written the job's code, and that the rule does
// not say that it means such jobs.
func (m matcher) barred(rule provider.Values) bool {
	guard := m.table.Guard
	if guard == nil || guard.Unless != "" && m.section.Is(guard.Unless) || !guard.Suspects(m.job) {
		return false
	}
	return strings.Trim(rule.Get(guard.Field), "*?") == "" // a pattern of anything names nothing
}

// explain says of every allow rule what does not match.
func (m matcher) explain() Decision {
	d := Decision{Outcome: NoMatch, Rule: -1, accepted: map[string]bool{}}
	for i, rule := range m.section.Allow {
		mismatch := RuleMismatch{Rule: i}
		for _, f := range m.compareAllow(i, rule).Fields {
			if f.Matches {
				d.accepted[f.Field] = true
				continue
			}
			mismatch.Fields = append(mismatch.Fields, FieldMismatch{Field: f.Field, Want: f.Want, Got: f.Got})
		}
		d.Mismatches = append(d.Mismatches, mismatch)
	}
	return d
}

// Section returns the section of the join method, an empty one if there is none. It is
// not to be changed.
func (t *TokenRule) Section() *provider.Section {
	s := t.Sections[t.JoinMethod]
	return &s
}

// Fields returns the names of the fields that rules of the token's method can
// test, in the order of docs/rules.md.
func (t *TokenRule) Fields() []string {
	if p := provider.Of(t.JoinMethod); p != nil {
		return p.FieldNames()
	}
	return nil
}

// Issuer returns the issuer whose ID tokens the rule is about; "" if the token
// has no rules for its join method.
func (t *TokenRule) Issuer() string {
	if p := provider.Of(t.JoinMethod); p != nil && len(t.Section().Allow) > 0 {
		return p.Issuer(t.Section())
	}
	return ""
}

// Audience returns the audience that ID tokens must have; "" if the token has
// no rules for its join method.
func (t *TokenRule) Audience() string {
	if p := provider.Of(t.JoinMethod); p != nil && len(t.Section().Allow) > 0 {
		return p.Audience(t.Section())
	}
	return ""
}

// Expired reports whether the rule admits nobody any more.
func (t *TokenRule) Expired(now time.Time) bool { return over(t.Metadata.Expires, now) }

// over reports whether end has come; the zero time never does.
func over(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }
