package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
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
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if q.Claims, err = c.claims(k, defaults, token, now); err != nil {
		return r, err
	}
	e, err := Explain(ctx, c.Reasons, q)
	if err != nil {
		return r, err
	}
	r.judge(k, e)
	return r, nil
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}

// claims are those of the case over those of its file, over the defaults, over what
// every ID token that the rule is about has.
func (c CaseConfig) claims(k *Case, defaults Defaults, token *rules.TokenRule, now time.Time) ([]byte, error) {
	claims := usual(token, now)
	maps.Copy(claims, defaults.Claims)
	if k.ClaimsFile != "" {
		data, err := c.ReadFile(k.ClaimsFile)
		if err != nil {
			return nil, err
		}
		var ofFile map[string]any
		if err := json.Unmarshal(data, &ofFile); err != nil {
			return nil, fmt.Errorf("%s is not a JSON object of claims: %w", k.ClaimsFile, err)
		}
		maps.Copy(claims, ofFile)
	}
	maps.Copy(claims, k.Claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return json.Marshal(claims)
}

// usual are the claims that say nothing of the job: a case need not write them.
func usual(t *rules.TokenRule, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": t.Issuer(), "aud": t.Audience(), "sub": "a job",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	if p := provider.Of(t.JoinMethod); p != nil {
		maps.Copy(claims, p.Usual(t.Section()))
	}
	return claims
}

func (r *CaseResult) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
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
