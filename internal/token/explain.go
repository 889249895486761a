package token

import (
	"time"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Unverified is what a token or a claims file says of itself. It is for
// explaining to administrators what a join would come to; nothing may ever be
// granted by it.
type Unverified struct {
	// Fields and Claims are as in Verified.
	Fields map[string][]string
	Claims map[string]any

	method string
}

// Unverified returns what the token says, read as a token of method.
func (p *Parsed) Unverified(method string) (*Unverified, error) {
	return newUnverified(p.claims, method)
}

// ParseClaims reads the payload of a token of method from JSON, as strictly as
// Parse does. The error is an *Error with Malformed, save for an unknown method.
func ParseClaims(payload []byte, method string) (*Unverified, error) {
	c, err := parseObject(payload)
	if err != nil {
		return nil, refuse(Malformed, "the claims are not a well-formed JSON object; write them as in a token's payload").because(err)
	}
	return newUnverified(c, method)
}

func newUnverified(c claims, method string) (*Unverified, error) {
	p := provider.Of(method)
	if p == nil {
		return nil, unknownMethod(method)
	}
	return &Unverified{Fields: p.Read(provider.Claims(c)), Claims: c, method: method}, nil
}

// Precheck makes the checks of Parsed.Precheck, and its errors tell what the
// token says.
func (u *Unverified) Precheck(now time.Time) error {
	return check{claims: u.Claims, now: now, verified: true}.early()
}

// Issuer is the claim iss, and "" if there is none.
func (u *Unverified) Issuer() string {
	iss, _ := claims(u.Claims).text("iss")
	return iss
}

// CheckDemands makes those checks of Check that a token rule has a say in, save for
// the issuer's, which explaining compares by itself.
func (u *Unverified) CheckDemands(e Expect, now time.Time) error {
	k := check{claims: u.Claims, Expect: e, now: now, verified: true}
	return first(k.audience, k.times, k.age)
}

// Check makes the checks of Verified.Check. A nil error proves nothing: the
// signature was not verified.
func (u *Unverified) Check(e Expect, now time.Time) error {
	v := Verified{Claims: u.Claims, method: u.method}
	return v.Check(e, now)
}
