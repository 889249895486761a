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
	finder := d.Source
	finder.Audience = d.audienceToMint()
	token, err := finder.Find(ctx)
	if err != nil {
		r.add(failed("id token", err))
		for _, name := range []string{"age", "audience"} {
			r.add(Check{Name: name, Status: CheckSkipped, Text: "there is no ID token"})
		}
		return
	}
	r.add(Check{Name: "id token", Status: CheckOK, Text: "from " + words.Clean(token.Source)})
	r.Claims = token.Claims()
	ci := providerOf(token)
	r.add(d.age(r.Claims, ci))
	r.add(d.audience(r.Claims, token.Method, ci))
	if ci.Look != nil {
		for _, notice := range ci.Look(r.Claims) {
			r.add(noticed(notice))
		}
	}
}

// providerOf is what to look for in an ID token. Where nothing tells whose it is, the
// claims do.
func providerOf(token source.Token) provider.Doctor {
	p := provider.Of(token.Method)
	if token.Method == "" {
		p = provider.OfClaims(token.Claims())
	}
	if p == nil {
		return provider.Doctor{}
	}
	return p.Doctor
}

// noticed is a claim by which a service refuses jobs unless its rules allow it.
func noticed(n provider.Notice) Check {
	c := Check{Name: n.Name, Status: CheckOK, Text: words.Clean(n.Text)}
	if n.OK {
		return c
	}
	return c.warn(c.Text, n.Hint)
}

// audienceToMint keeps the audience where an ID token is minted for it. Elsewhere a
// wrong one is found by a check of its own, after the claims were shown.
func (d Doctor) audienceToMint() string {
	if d.Source.Mints() {
		return d.Source.Audience
	}
	return ""
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
