package test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allows tells whether policies allow a call: a statement does and none denies it.
func allows(t *testing.T, all []statement, c awsCall) bool {
	t.Helper()
	allowed := false
	for _, s := range all {
		if !s.about(t, c) {
			continue
		}
		if s.Effect != "Allow" {
			return false
		}
		allowed = true
	}
	return allowed
}

// about tells whether a statement is about a call. What it does not understand of
// policies fails the test: it must never pass for more, or less, than it is.
func (s statement) about(t *testing.T, c awsCall) bool {
	t.Helper()
	if s.NotAction != nil || s.NotResource != nil || s.NotPrincipal != nil {
		t.Errorf("%s says what it is not about", s)
	}
	if !slices.ContainsFunc(s.Action, func(a string) bool { return like(a, c.Action) }) ||
		!slices.ContainsFunc(s.Resource, func(r string) bool { return like(r, c.Resource) }) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, want := range keys {
			if !holdsFor(t, operator, want, c.Context[key]) {
				return false
			}
		}
	}
	return true
}

// holdsFor evaluates one operator of a condition, as
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
// has it: ForAllValues holds for a request without any value.
func holdsFor(t *testing.T, operator string, want, have []string) bool {
	t.Helper()
	if operator == "Null" {
		return slices.Equal(want, []string{strconv.FormatBool(len(have) == 0)})
	}
	equal := func(a, b string) bool { return a == b }
	match := map[string]func(want, have string) bool{
		"StringEquals": equal, "StringEqualsIfExists": equal, "ForAllValues:StringEquals": equal, "ForAllValues:StringLike": like,
	}[operator]
	if match == nil {
		t.Errorf("the operator %s is not understood", operator)
		return false
	}
	if operator == "StringEquals" && len(have) == 0 {
		return false
	}
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w string) bool { return match(w, h) }) {
			return false
		}
	}
	return true
}

// like matches a text with a pattern in which * stands for anything and ? for one character.
func like(pattern, text string) bool {
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile(`\A(?s:` + quoted + `)\z`).MatchString(text)
}

// grant is the smallest part of a statement: one action on one resource, and of
// the leading keys one. All else in the statement's condition must hold.
type grant struct {
	statement
	action, resource, leading string
}

func (g grant) String() string {
	text := fmt.Sprintf("%s: %s on %s", g.Sid, g.action, g.resource)
	if g.leading != "" {
		text += " for " + g.leading
	}
	return text
}

// grants splits a statement. Each action is paired with each resource, and each
// leading key with the whole statement: an item need not be read and written.
func (s statement) grants() (all []grant) {
	for _, a := range s.Action {
		for _, r := range s.Resource {
			all = append(all, grant{statement: s, action: a, resource: r})
		}
	}
	for _, keys := range s.Condition {
		for _, k := range keys["dynamodb:LeadingKeys"] {
			all = append(all, grant{statement: s, action: "*", resource: "*", leading: k})
		}
	}
	return all
}

// usedBy tells whether a call needs this part of the statement.
func (g grant) usedBy(t *testing.T, c awsCall) bool {
	t.Helper()
	return g.about(t, c) && like(g.action, c.Action) && like(g.resource, c.Resource) &&
		(g.leading == "" || slices.ContainsFunc(c.Context["dynamodb:LeadingKeys"], func(k string) bool { return like(g.leading, k) }))
}

// unused returns the parts of statements that no call needs.
func unused(t *testing.T, all []statement, calls []awsCall) (rest []string) {
	t.Helper()
	for _, s := range all {
		for _, g := range s.grants() {
			if !slices.ContainsFunc(calls, func(c awsCall) bool { return g.usedBy(t, c) }) {
				rest = append(rest, g.String())
			}
		}
	}
	return rest
}
