package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Claims are the claims of a job that rules can test, by the names of the
// rules' fields. context_id has all contexts of the job; every other field has
// one value. A field that is absent or empty never matches.
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
	for i := range t.count(denyRules) {
		if t.matches(denyRules, i, c) {
			return Decision{Outcome: Denied, Rule: i}
		}
	}
	for i := range t.count(allowRules) {
		if t.matches(allowRules, i, c) {
			return Decision{Outcome: Allowed, Rule: i}
		}
	}
	return t.explain(c)
}

// matches reports whether a job matches every field that a rule names. A rule
// that names none matches nothing.
func (t *TokenRule) matches(list ruleList, i int, c Claims) bool {
	conditions := t.conditions(list, i)
	named := false
	for _, cond := range conditions {
		if cond.want == "" {
			continue
		}
		if !cond.accepts(c[cond.field], list) {
			return false
		}
		named = true
	}
	return named && (list == denyRules || !t.barredFork(&conditions, c))
}

// explain says of every allow rule what does not match.
func (t *TokenRule) explain(c Claims) Decision {
	d := Decision{Outcome: NoMatch, Rule: -1, accepted: map[string]bool{}}
	for i := range t.count(allowRules) {
		mismatch := RuleMismatch{Rule: i}
		for _, f := range t.compare(allowRules, i, c).Fields {
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

// barredFork reports that the job may be a fork's and that the rule does not
// say of which repository. A fork's job has the project and the organization of
// the repository that it was forked from; only its origin tells them apart.
func (t *TokenRule) barredFork(conditions *conditions, c Claims) bool {
	if t.CircleCI == nil || t.CircleCI.AllowForks || !slices.ContainsFunc(c[fieldVCSRef], isPullRequest) {
		return false
	}
	return !slices.ContainsFunc(conditions[:], func(cond condition) bool {
		// A pattern that any origin matches names none.
		return cond.field == fieldVCSOrigin && strings.Trim(cond.want, "*?") != ""
	})
}

func isPullRequest(ref string) bool {
	return strings.HasPrefix(ref, "refs/heads/pull/") || strings.HasPrefix(ref, "refs/pull/")
}

// Issuer returns the issuer whose ID tokens the rule is about; "" if the token
// has no join method.
func (t *TokenRule) Issuer() string {
	switch {
	case t.Bitbucket != nil:
		return t.Bitbucket.IdentityProviderURL
	case t.CircleCI != nil && t.CircleCI.Issuer != "":
		return t.CircleCI.Issuer
	case t.CircleCI != nil:
		return circleCIIssuer + "/org/" + t.CircleCI.OrganizationID
	}
	return ""
}

// Audience returns the audience that ID tokens must have; "" if the token has
// no join method.
func (t *TokenRule) Audience() string {
	switch {
	case t.Bitbucket != nil:
		return t.Bitbucket.Audience
	case t.CircleCI != nil && t.CircleCI.Audience != "":
		return t.CircleCI.Audience
	case t.CircleCI != nil:
		return t.CircleCI.OrganizationID
	}
	return ""
}

// Expired reports whether the rule admits nobody any more.
func (t *TokenRule) Expired(now time.Time) bool { return over(t.Metadata.Expires, now) }

// over reports whether end has come; the zero time never does.
func over(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }
