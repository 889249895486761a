package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// caseClaims are the claims of a case's job, by the CI's own names.
type caseClaims struct {
	all   map[string]any
	given map[string]any // those that the case's file has, null among them
	// problems say what is wrong with names: a claim that no job has tests nothing.
	problems []string
	provider *provider.Provider
}

// claims are those of the case over those of its file, over the defaults, over what every
// ID token that the rule is about has.
func (c CaseConfig) claims(k *Case, defaults Defaults, token *rules.TokenRule, now time.Time) (*caseClaims, error) {
	claims := &caseClaims{all: usual(token, now), given: map[string]any{}, provider: provider.Of(token.JoinMethod)}
	claims.lay("defaults.claims", defaults.Claims, claims.ofAnother)
	if k.ClaimsFile != "" {
		data, err := c.ReadFile(k.ClaimsFile)
		if err != nil {
			return nil, err
		}
		var ofFile map[string]any
		if err := json.Unmarshal(data, &ofFile); err != nil {
			return nil, fmt.Errorf("%s is not a JSON object of claims: %w", k.ClaimsFile, err)
		}
		// A job's own claims, among which may be some that are not known here.
		claims.lay(k.ClaimsFile, ofFile, func(name string) bool { return claims.near(name) == "" })
	}
	claims.lay("claims", k.Claims, func(string) bool { return false })
	maps.Copy(claims.all, claims.given)
	maps.DeleteFunc(claims.all, func(_ string, v any) bool { return v == nil })
	return claims, nil
}

// lay puts claims over those given before. A rule's field may stand for its claim. Names
// that are neither are problems, unless pass says of one that it may be there.
func (c *caseClaims) lay(where string, claims map[string]any, pass func(string) bool) {
	if c.provider == nil {
		maps.Copy(c.given, claims)
		return
	}
	known := c.provider.ClaimNames()
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		field := c.provider.Field(name)
		switch {
		case slices.Contains(known, name):
			c.given[name] = claims[name]
		case field != nil:
			if _, both := claims[field.Claim]; both {
				c.problems = append(c.problems, fmt.Sprintf("%s.%s is the claim %s, which is there too; remove one", where, name, field.Claim))
			}
			c.given[field.Claim] = field.Claimed(claims[name])
		case pass(name):
			c.given[name] = claims[name]
		default:
			c.problems = append(c.problems, fmt.Sprintf("%s.%s: ID tokens of %s have no such claim%s", where, name, c.provider.Name, didYouMean(c.near(name))))
		}
	}
}

// near is the claim or the field that a name was likely meant to be.
func (c *caseClaims) near(name string) string {
	names := append(c.provider.ClaimNames(), c.provider.FieldNames()...)
	for _, known := range names {
		if strings.HasSuffix(known, "/"+name) {
			return known
		}
	}
	return words.Nearest(name, names)
}

// ofAnother reports whether a name is a claim or a field of another CI: defaults are for
// the cases of all token rules.
func (c *caseClaims) ofAnother(name string) bool {
	return slices.ContainsFunc(provider.All(), func(p *provider.Provider) bool {
		return p != c.provider && (p.Field(name) != nil || slices.Contains(p.ClaimNames(), name))
	})
}

// showNothing reports whether no allow rule is kept from matching by what the case says,
// so that it would come to the same without any claims.
func (c *caseClaims) showNothing(e Explanation, token *rules.TokenRule) bool {
	for _, rule := range e.Rules {
		for _, f := range rule.Fields {
			field := c.provider.Field(f.Field)
			if rule.List != "allow" || f.Matches || field == nil {
				continue
			}
			if _, said := c.given[field.Claim]; said {
				return false
			}
		}
	}
	return len(token.Section().Allow) > 0
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}

// usual are the claims that say nothing of the job: a case need not write them.
func usual(t *rules.TokenRule, now time.Time) map[string]any {
	audience := t.Audience()
	if t.Bind == rules.BindRequired { // to some request: a case makes none
		audience = provider.BoundAudience(audience, [provider.DigestBytes]byte{})
	}
	claims := map[string]any{
		"iss": t.Issuer(), "aud": audience, "sub": "a job",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	if p := provider.Of(t.JoinMethod); p != nil {
		maps.Copy(claims, p.Usual(t.Section()))
	}
	return claims
}
