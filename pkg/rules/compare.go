package rules

// RuleComparison is one rule held against a job, field by field.
type RuleComparison struct {
	Deny    bool // it is a deny rule, else an allow rule
	Rule    int  // counted from 0, as in allow[0]
	Matches bool
	// Fields are those that the rule names, in the order of docs/rules.md.
	Fields []FieldComparison
}

// FieldComparison is one field of a rule beside the job's claim.
type FieldComparison struct {
	Field   string
	Want    string   // the rule's value
	Got     []string // the job's; empty if the claim is absent
	Matches bool
}

// Compare holds every deny rule and then every allow rule against a job. It is
// for telling people what Decide, which says who may join, looks at.
func (t *TokenRule) Compare(c Claims) []RuleComparison {
	var all []RuleComparison
	for _, list := range []ruleList{denyRules, allowRules} {
		for i := range t.count(list) {
			all = append(all, t.compare(list, i, c))
		}
	}
	return all
}

func (t *TokenRule) compare(list ruleList, i int, c Claims) RuleComparison {
	conditions := t.conditions(list, i)
	barred := list == allowRules && t.barredFork(&conditions, c)
	r := RuleComparison{Deny: list == denyRules, Rule: i, Matches: t.matches(list, i, c)}
	for _, cond := range conditions {
		if cond.want == "" || barred && cond.field == fieldVCSOrigin { // of which more below
			continue
		}
		r.Fields = append(r.Fields, FieldComparison{
			Field: cond.field, Want: cond.want, Got: c[cond.field], Matches: cond.accepts(c[cond.field], list),
		})
	}
	if barred {
		r.Fields = append(r.Fields, FieldComparison{
			Field: fieldVCSOrigin,
			Want:  "a rule that names vcs_origin: vcs_ref is a pull request's, which may come from a fork",
			Got:   c[fieldVCSOrigin],
		})
	}
	return r
}
