package token

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Leeway is how far the issuer's clock and ours may be apart.
const Leeway = 30 * time.Second

// Expect is what a token rule demands of an ID token.
type Expect struct {
	Method           string        // of a provider
	Issuer, Audience string        // compared byte for byte
	MaxAge           time.Duration // since iat
	Bind             bool          // whether the token must be bound to a request
	// Section is for the CI's own check; an empty one is the strictest.
	Section provider.Section
}

// Precheck is step 2: what the token says of its issuer and its times, not verified
// yet, may already refuse, so that a stray token costs nothing remote. It is told
// nothing of a token rule, so that what it answers tells a stranger nothing of one.
// A nil error accepts nothing. The error is an *Error.
func (p *Parsed) Precheck(now time.Time) error {
	return check{claims: p.claims, now: now}.early()
}

// Issuer is the claim iss, and "" if there is none. It is the caller's word: which
// keys verify the token, the token rule says.
func (p *Parsed) Issuer() string {
	iss, _ := p.claims.text("iss") // Precheck refuses a token without it
	return iss
}

// QuotedIssuer is Issuer for a message: short, and without what moves a terminal.
func (p *Parsed) QuotedIssuer() string { return quoteList([]string{p.Issuer()}) }

// Check is steps 4 and 5: what RFC 7519 and OpenID Connect ask of every ID
// token, then what the CI's tokens must have. The error is an *Error, save when
// e is for another method than v was verified for.
func (v *Verified) Check(e Expect, now time.Time) error {
	if e.Method != v.method {
		return fmt.Errorf("ID token was verified for method %q and is checked for %q", v.method, e.Method)
	}
	p := provider.Of(v.method)
	if p == nil {
		return unknownMethod(v.method)
	}
	if err := (check{claims: v.Claims, Expect: e, now: now, verified: true}).run(); err != nil {
		return err
	}
	return refused(p.CheckJob(v.Claims, &e.Section))
}

// check holds claims against what is expected.
type check struct {
	claims claims
	Expect
	now time.Time
	// verified is whether the claims are known to be the caller's own, so that
	// their times may be told.
	verified bool
}

// run makes every check, of a token whose signature was verified.
func (k check) run() error { return first(k.issuer, k.audience, k.subject, k.times, k.age) }

// early makes the checks that no token rule has a say in.
func (k check) early() error {
	return first(func() error { _, err := k.claims.text("iss"); return err }, k.times)
}

// first returns the error of the first step that fails.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (k check) issuer() error {
	iss, err := k.claims.text("iss")
	if err != nil {
		return err
	}
	if iss != k.Issuer {
		return refuse(WrongIssuer, "the ID token is from another issuer than its token rule names, and the two must be the same letter for letter; "+
			"check that the job runs in the right workspace or organization, and that it joins by the right token rule")
	}
	return nil
}

// audience checks aud (RFC 7519 §4.1.3) and azp (OpenID Connect Core §3.1.3.7).
func (k check) audience() error {
	list, err := k.claims.audience()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, k.accepts) {
		return k.wrongAudience(list)
	}
	if err := k.party(); err != nil {
		return err
	}
	if k.Bind && !binding(k.claims, k.Audience).Bound() {
		return refuse(NotBound, "the token rule takes only ID tokens that are bound to their request, and this one is not; "+
			"let gatepass have it minted: give --audience or GATEPASS_AUDIENCE, and leave out --id-token-file")
	}
	return nil
}

// accepts reports whether an audience is that of the token rule, as it stands or bound to a
// request. To which, Binding.Check asks.
func (k check) accepts(audience string) bool {
	return k.Audience != "" && (audience == k.Audience || provider.Bound(audience, k.Audience))
}

// party checks azp, if it is there.
func (k check) party() error {
	azp, ok := k.claims["azp"]
	if !ok {
		return nil
	}
	party, ok := azp.(string)
	if !ok {
		return refused(provider.Mistyped("azp", "a string"))
	}
	if !k.accepts(party) {
		return refuse(WrongAudience, "the ID token was issued to another party: its claim azp is not the audience that its token rule names; "+
			"let the CI mint a token for that audience alone")
	}
	return nil
}

func (k check) wrongAudience(list []string) error {
	return refuse(WrongAudience, "the ID token is for the audience %s, other than its token rule names; set that audience in the CI file: "+
		"oidc: {audiences: [...]} on the step in Bitbucket Pipelines, circleci run oidc get --claims '{\"aud\":\"...\"}' on CircleCI", quoteList(list))
}

// subject is required (OpenID Connect Core §2) and decides nothing.
func (k check) subject() error {
	_, err := k.claims.text("sub")
	return err
}

func (k check) times() error {
	exp, err := k.claims.time("exp")
	if err != nil {
		return err
	}
	iat, err := k.claims.time("iat")
	if err != nil {
		return err
	}
	nbf := iat
	if _, ok := k.claims["nbf"]; ok {
		if nbf, err = k.claims.time("nbf"); err != nil {
			return err
		}
	}
	switch {
	case !k.now.Before(exp.Add(Leeway)):
		return refuse(Expired, "the ID token expired %s ago%s; join earlier in the job, or let the CI mint a new token",
			seconds(k.now.Sub(exp)), k.at(exp))
	case k.now.Before(nbf.Add(-Leeway)):
		return refuse(NotYetValid, "the ID token is not valid for another %s%s; check the clocks of the CI's runner and of the service",
			seconds(nbf.Sub(k.now)), k.at(nbf))
	case k.now.Before(iat.Add(-Leeway)):
		return refuse(NotYetValid, "the ID token was issued %s in the future%s; check the clocks of the CI's runner and of the service",
			seconds(iat.Sub(k.now)), k.at(iat))
	}
	return nil
}

// age is the token rule's own limit, which is not told to a stranger.
func (k check) age() error {
	iat, err := k.claims.time("iat")
	if err != nil {
		return err
	}
	if k.now.After(iat.Add(Leeway + k.MaxAge)) {
		return refuse(TooOld, "the ID token was issued %s ago%s, longer than its token rule allows; join earlier in the job, or let the CI mint a new token",
			seconds(k.now.Sub(iat)), k.at(iat))
	}
	return nil
}

// at tells a time of the token if it may be told.
func (k check) at(t time.Time) string {
	if !k.verified {
		return ""
	}
	return ", at " + t.Format(time.RFC3339)
}

func seconds(d time.Duration) time.Duration { return d.Truncate(time.Second) }

// quoteList prints values of the token, few and short enough for one log line.
func quoteList(list []string) string {
	const maxValues, maxBytes = 3, 150
	var quoted []string
	for i, s := range list {
		if i == maxValues {
			quoted = append(quoted, "...")
			break
		}
		if len(s) > maxBytes {
			s = s[:maxBytes] + "..."
		}
		quoted = append(quoted, fmt.Sprintf("%+q", s))
	}
	return strings.Join(quoted, ", ")
}
