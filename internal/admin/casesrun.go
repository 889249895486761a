package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// CaseResult is what a case came to.
type CaseResult struct {
	Name  string `json:"name"`
	Line  int    `json:"line"`
	Token string `json:"token"`
	Want  string `json:"want"` // "join" or a code
	Got   string `json:"got"`
	// Problems say in what the join differs from what is wanted; none if it passes.
	Problems []string `json:"problems"`
	// Notes say why a case that passes shows less than it seems to.
	Notes []string `json:"notes,omitempty"`
	// Explanation tells why, of a case that does not pass.
	Explanation *Explanation `json:"explanation,omitempty"`
}

// Passed reports whether the join came to what is wanted.
func (r CaseResult) Passed() bool { return len(r.Problems) == 0 }

// CaseConfig is what cases are run with.
type CaseConfig struct {
	Reasons Reasons
	Now     time.Time
	// ReadFile reads a file that a case names.
	ReadFile func(name string) ([]byte, error)
}

// Run runs the cases of a file, in their order.
func (c CaseConfig) Run(ctx context.Context, f *CaseFile) ([]CaseResult, error) {
	var results []CaseResult
	for i := range f.Cases {
		r, err := c.run(ctx, &f.Cases[i], f.Defaults)
		if err != nil {
			return nil, fmt.Errorf("case %q: %w", f.Cases[i].Name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (c CaseConfig) run(ctx context.Context, k *Case, defaults Defaults) (CaseResult, error) {
	r := CaseResult{Name: k.Name, Line: k.Line, Token: or(k.Token, defaults.Token), Want: k.Want, Problems: []string{}}
	now := c.Now
	if !defaults.At.IsZero() {
		now = defaults.At
	}
	if !k.At.IsZero() {
		now = k.At
	}
	q := Question{Token: r.Token, Now: now, Verified: true}
	q.TTL, _ = time.ParseDuration(k.TTL) // Parse has checked it
	for _, credential := range k.Credentials {
		q.Wishes = append(q.Wishes, credential.wish())
	}
	token, err := store.Token(ctx, c.Reasons, r.Token)
	if errors.Is(err, store.ErrNotFound) {
		r.Got = "token_not_found"
		if k.Want != r.Got {
			r.problem("want %s, got token_not_found: token/%s does not exist", k.Want, r.Token)
		}
		r.note("token/%s does not exist%s, so this passes whatever the rules are", r.Token, c.near(ctx, r.Token))
		return r, nil
	}
	if err != nil {
		return r, err
	}
	claims, err := c.claims(k, defaults, token, now)
	if err != nil {
		return r, err
	}
	if q.Claims, err = json.Marshal(claims.all); err != nil {
		return r, err
	}
	e, err := Explain(ctx, c.Reasons, q)
	if err != nil {
		return r, err
	}
	r.judge(k, e)
	for _, problem := range claims.problems {
		r.problem("%s", problem)
	}
	if r.Passed() && k.Want == "no_rule_matched" && claims.showNothing(e, token) {
		r.note("none of the claims given differs from what the rules want: it would pass with no claims at all; give those that the job has, or null for one that it lacks")
	}
	return r, nil
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

func (r *CaseResult) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *CaseResult) note(format string, args ...any) {
	if r.Passed() {
		r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	}
}

// near names the token rule that was likely meant; "" if no name is near.
func (c CaseConfig) near(ctx context.Context, name string) string {
	tokens, _ := store.Tokens(ctx, c.Reasons) // it is only a hint
	var names []string
	for _, t := range tokens {
		names = append(names, t.Name())
	}
	return didYouMean(words.Nearest(name, names))
}

// judge compares what the join came to with what is wanted.
func (r *CaseResult) judge(k *Case, e Explanation) {
	r.Got = e.Code
	if r.Got == store.CodeOK {
		r.Got = WantJoin
	}
	switch {
	case r.Got != k.Want:
		r.problem("want %s, got %s%s", k.Want, r.Got, because(e))
	case k.Want == WantJoin:
		r.judgeGrants(k, e)
	}
	if !r.Passed() {
		r.Explanation = &e
	}
}

func (r *CaseResult) judgeGrants(k *Case, e Explanation) {
	if k.Bot != "" && k.Bot != e.Bot {
		r.problem("want the bot %s, got %s", k.Bot, e.Bot)
	}
	if k.Rule != nil && e.Rule != nil && *k.Rule != *e.Rule {
		r.problem("want allow[%d] to match, got allow[%d]", *k.Rule, *e.Rule)
	}
	if k.Logins != nil && e.SSH != nil {
		want := slices.Sorted(slices.Values(k.Logins))
		if !slices.Equal(want, e.SSH.Principals) {
			got := "[" + strings.Join(e.SSH.Principals, ", ") + "]"
			if e.SSH.Refused != "" {
				got = "none: " + e.SSH.Refused
			}
			r.problem("want the logins [%s], got %s", strings.Join(want, ", "), got)
		}
	}
	if want, _ := time.ParseDuration(k.GrantsTTL); k.GrantsTTL != "" && int64(want/time.Second) != e.TTLSeconds {
		r.problem("want a lifetime of %s, got %s%s", want, time.Duration(e.TTLSeconds)*time.Second, limitedBy(e))
	}
}

func limitedBy(e Explanation) string {
	if e.TTLLimitedBy == "" {
		return ""
	}
	return ", limited by " + e.TTLLimitedBy
}

// because says which check decided, and which fields do not match.
func because(e Explanation) string {
	for _, check := range e.Checks {
		if check.Code == e.Code && e.Code != store.CodeOK || e.Code == store.CodeOK && check.Name == "rules" {
			return ": " + check.Detail
		}
	}
	return ""
}
