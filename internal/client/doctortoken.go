package client

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// idToken looks at the token that a join would send.
func (d Doctor) idToken(ctx context.Context, r *Diagnosis) {
	token, mints, err := d.find(ctx)
	if err != nil {
		r.add(failed("id token", err))
		for _, name := range []string{"age", "audience"} {
			r.add(Check{Name: name, Status: CheckSkipped, Text: "there is no ID token"})
		}
		return
	}
	r.Claims = token.Claims()
	r.add(binding(token, mints))
	ci := doctorOf(token)
	r.add(d.age(r.Claims, ci))
	r.add(d.audience(r.Claims, token.Method, ci))
	if ci.Look != nil {
		for _, notice := range ci.Look(r.Claims) {
			r.add(noticed(notice))
		}
	}
}

// find returns an ID token as a join has it, but for the binding, and whether it was
// minted. An audience is demanded only where one is minted for it: elsewhere a wrong one is
// found by a check of its own, after the claims were shown.
func (d Doctor) find(ctx context.Context) (token source.Token, mints bool, err error) {
	from, err := d.Source.Find()
	if err == nil && from.Mints() {
		token, err = from.Token(ctx, d.Source.Audience)
		return token, true, err
	}
	any := d.Source
	any.Audience = ""
	if from, err = any.Find(); err != nil {
		return token, false, err
	}
	token, err = from.Token(ctx, "")
	return token, false, err
}

// binding says where the ID token comes from, and whether a join's will be bound to it.
func binding(token source.Token, mints bool) Check {
	c := Check{Name: "id token", Status: CheckOK, Text: "from " + words.Clean(token.Source)}
	switch p := providerOf(token); {
	case mints:
		c.Text += "; a join has its own minted, bound to its request"
	case p != nil && p.Mints:
		c.Text += "; it is not bound to a request, so a token rule with bind: required refuses it"
	}
	return c
}

// providerOf is whose the ID token is; nil if it is nobody's that is known. Where nothing
// tells, the claims do.
func providerOf(token source.Token) *provider.Provider {
	if token.Method == "" {
		return provider.OfClaims(token.Claims())
	}
	return provider.Of(token.Method)
}

// doctorOf is what to look for in an ID token.
func doctorOf(token source.Token) provider.Doctor {
	if p := providerOf(token); p != nil {
		return p.Doctor
	}
	return provider.Doctor{}
}

// noticed is a claim by which a service refuses jobs unless its rules allow it.
func noticed(n provider.Notice) Check {
	c := Check{Name: n.Name, Status: CheckOK, Text: words.Clean(n.Text)}
	if n.OK {
		return c
	}
	return c.warn(c.Text, n.Hint)
}

// age says how old the token is and how long it holds.
func (d Doctor) age(claims provider.Claims, ci provider.Doctor) Check {
	c := Check{Name: "age", Status: CheckOK}
	now := d.Now()
	issued, okIssued := timeOf(claims["iat"])
	expires, okExpires := timeOf(claims["exp"])
	if !okIssued || !okExpires {
		return c.fail("the ID token does not say when it was issued and when it ends", "use the token that the CI system made for this job")
	}
	age, left := now.Sub(issued).Round(time.Second), expires.Sub(now).Round(time.Second)
	c.Text = fmt.Sprintf("issued %s ago, ends in %s", max(age, 0), left)
	renew := cmp.Or(ci.Renew, "join early in the job, or run it again")
	switch {
	case left <= 0:
		return c.fail(fmt.Sprintf("it ended %s ago", -left), renew)
	case age < -clockLimit:
		return c.fail(fmt.Sprintf("it will be issued in %s", -age), "this machine's clock is behind the CI system's: set it")
	case age > time.Hour:
		return c.warn(c.Text, "a token rule's max_token_age is 1h unless it says otherwise; "+renew)
	}
	return c
}

// audience compares the token's with the one that was asked for.
func (d Doctor) audience(claims provider.Claims, method string, ci provider.Doctor) Check {
	c := Check{Name: "audience", Status: CheckOK}
	have := source.Audiences(claims["aud"])
	c.Text = words.Clean(strings.Join(have, ", "))
	wanted := d.Source.Audience
	shared := len(have) == 1 && ci.SharedAudience != nil && ci.SharedAudience(have[0], claims)
	switch {
	case len(have) == 0:
		return c.fail("the ID token has no audience", source.AudienceHints(method, wanted)...)
	case wanted != "" && !slices.Contains(have, wanted):
		return c.fail(c.Text+", and not "+words.Clean(wanted), source.AudienceHints(method, wanted)...)
	case shared:
		return c.warn(c.Text+", the default one, which every other service that trusts this CI system accepts too", source.AudienceHints(method, "")...)
	}
	return c
}

// timeOf reads a NumericDate (RFC 7519 §2).
func timeOf(v any) (time.Time, bool) {
	number, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}
