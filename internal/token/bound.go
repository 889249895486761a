package token

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Binding is what the audience of an ID token says of the request that it is good for.
type Binding struct {
	bound []string // audiences in a bound form; none if the token is good for any request
	of    string   // the rule's audience
}

// Binding reads the audiences, of which Check has taken one. One that is bound makes the
// token a bound one, whatever stands beside it: who asked for it meant one request.
func (v *Verified) Binding(e Expect) Binding { return binding(v.Claims, e.Audience) }

// Binding is Verified.Binding of claims that are not verified.
func (u *Unverified) Binding(e Expect) Binding { return binding(u.Claims, e.Audience) }

func binding(c claims, audience string) Binding {
	b := Binding{of: audience}
	list, _ := c.audience() // Check refuses a token without it
	if azp, ok := c["azp"].(string); ok {
		list = append(slices.Clone(list), azp)
	}
	var elsewhere []string // bound, but not with the rule's audience
	for _, aud := range list {
		switch {
		case provider.Bound(aud, audience):
			b.bound = append(b.bound, aud)
		case strings.Contains(aud, provider.BindingMark):
			elsewhere = append(elsewhere, aud)
		}
	}
	if !b.Bound() { // no request of this rule: an audience that the issuer added loosens nothing
		b.bound = elsewhere
	}
	return b
}

// Bound reports whether the token is bound, to whatever it may be.
func (b Binding) Bound() bool { return len(b.bound) > 0 }

// malformed is what is told of a binding to what cannot be a request's digest.
const malformed = "malformed"

// String is the digest that the token is bound to in lower-case hexadecimal, "malformed" if
// it is none, if there are several or if it is bound with another audience than the rule's,
// and "" if the token is not bound.
func (b Binding) String() string {
	if !b.Bound() {
		return ""
	}
	digest, ok := provider.BoundDigest(b.bound[0])
	if !ok || b.bound[0] != provider.BoundAudience(b.of, digest) || slices.ContainsFunc(b.bound, func(aud string) bool { return aud != b.bound[0] }) {
		return malformed
	}
	return hex.EncodeToString(digest[:])
}

// Check refuses a bound token for any request but its own. digest is that of the request,
// nil if it has none that tells it from others. The error is an *Error.
func (b Binding) Check(digest *[provider.DigestBytes]byte) error {
	switch {
	case !b.Bound():
		return nil // whether it has to be, Verified.Check says
	case digest == nil:
		return refuse(WrongRequest, "the ID token is bound to one request, and a request for a jwt without retry_key cannot be told from others; "+
			"send a random retry_key of 16 characters or more, and have the ID token minted for that request")
	}
	want := provider.BoundAudience(b.of, *digest)
	if slices.ContainsFunc(b.bound, func(aud string) bool { return aud != want }) {
		return refuse(WrongRequest, "the ID token is bound to another request, with other keys or other values; "+
			"each request needs an ID token of its own, which gatepass has minted if it is given --audience")
	}
	return nil
}
