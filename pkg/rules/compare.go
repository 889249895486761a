package rules

import "github.com/gatepass-ci/gatepass/pkg/provider"

// The lists of rules.
const (
	ListAllow = "allow"
	ListDeny  = "deny"
)

// RuleComparison is one rule held against a job, field by field.
type RuleComparison struct {
	List    string `json:"list"` // ListAllow or ListDeny
	Rule    int    `json:"rule"` // counted from 0, as in allow[0]
	Matches bool   `json:"matches"`
	// Fields are those that the rule names, in the order of docs/rules.md.
	Fields []FieldComparison `json:"fields"`
}

// FieldComparison is one field of a rule beside the job's claim.
type FieldComparison struct {
	Field   string   `json:"field"`
	Want    string   `json:"want"` // the rule's value
	Got     []string `json:"got"`  // the job's; empty if the claim is absent
	Matches bool     `json:"matches"`
}

// Compare holds every deny rule and then every allow rule against a job. It is
// for telling people what Decide, which says who may join, looks at.
func (t *TokenRule) Compare(c Claims) []RuleComparison {
	m := t.matcher(c)
	var all []RuleComparison
	for i, rule := range m.section.Deny {
		all = append(all, RuleComparison{List: ListDeny, Rule: i, Matches: m.denies(rule), Fields: m.fields(rule, m.acceptsAny)})
	}
	for i, rule := range m.section.Allow {
		all = append(all, m.compareAllow(i, rule))
	}
	return all
}

// compareAllow tells of a rule that is barred what it would have to name.
func (m matcher) compareAllow(i int, rule provider.Values) RuleComparison {
	r := RuleComparison{List: ListAllow, Rule: i, Matches: m.allows(rule)}
	if !m.barred(rule) {
		r.Fields = m.fields(rule, m.accepts)
		return r
	}
	guard := m.table.Guard
	for _, f := range m.fields(rule, m.accepts) {
		if f.Field != guard.Field {
			r.Fields = append(r.Fields, f)
		}
	}
	r.Fields = append(r.Fields, FieldComparison{Field: guard.Field, Want: guard.Why, Got: m.job[guard.Field]})
	return r
}

func (m matcher) fields(rule provider.Values, accepts func(*provider.Field, string) bool) (all []FieldComparison) {
	for _, want := range rule {
		f := FieldComparison{Field: want.Name, Want: want.Value, Got: m.job[want.Name]}
		if field := m.table.Field(want.Name); field != nil {
			f.Matches = accepts(field, want.Value)
		}
		all = append(all, f)
	}
	return all
}
