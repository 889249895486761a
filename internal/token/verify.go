package token

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// Verified is an ID token whose signature is its issuer's. Whether it may be
// used is for Check to say. It must not be changed.
type Verified struct {
	// The claims of RFC 7519, zero if absent or of the wrong type.
	Issuer, Subject   string
	Audience          []string
	IssuedAt, Expires time.Time
	// Fields are what token rules test, by the name of the rule's field. A claim
	// that is absent, empty or of the wrong type is left out. Values are as in
	// the token.
	Fields map[string][]string
	// Claims are all claims: nil, bool, string, int64, json.Number for numbers
	// that are no int64, []any and map[string]any.
	Claims map[string]any

	method string
}

// VerifySignature is step 3. k must be the key set of the issuer that the token
// rule names, never of the one that the token names. By method it is decided what Fields
// are read. The error is an *Error with
// UnknownKey or BadSignature, save for an unknown method.
//
// It uses golang-jwt's signing methods and keyfunc's choice of key, but not
// jwt.Parser: that would decode header and payload a second time by another
// JSON decoder, one that takes duplicate members, and two readers of one token
// can disagree.
func (p *Parsed) VerifySignature(k *KeySet, method string) (*Verified, error) {
	ci := provider.Of(method)
	if ci == nil {
		return nil, unknownMethod(method)
	}
	if err := p.verify(k); err != nil {
		return nil, err
	}
	v := &Verified{Claims: p.claims, Fields: ci.Read(provider.Claims(p.claims)), method: method}
	v.Issuer, _ = p.claims.text("iss")
	v.Subject, _ = p.claims.text("sub")
	v.Audience, _ = p.claims.audience()
	v.IssuedAt, _ = p.claims.time("iat")
	v.Expires, _ = p.claims.time("exp")
	return v, nil
}

func unknownMethod(method string) error { return fmt.Errorf("unknown join method %q", method) }

func (p *Parsed) verify(k *KeySet) error {
	key, ok := k.key(p.kid, p.alg)
	if !ok {
		return refuse(UnknownKey, "the ID token is signed by a key that its issuer does not publish; "+
			"check that it is this job's own token, and that the job joins by the right token rule")
	}
	if err := signingMethod(p.alg).Verify(p.signingInput, p.signature, key); err != nil {
		return refuse(BadSignature, "the ID token's signature does not verify; pass the token unchanged, as the CI minted it").because(err)
	}
	return nil
}

// signingMethod returns the method of an alg, nil for all but the two that are
// accepted: the allow-list of RFC 8725 §3.1. HMAC is none of them, so no public
// key can be taken for a secret.
func signingMethod(alg string) jwt.SigningMethod {
	switch alg {
	case "RS256":
		return jwt.SigningMethodRS256
	case "ES256":
		return jwt.SigningMethodES256
	default:
		return nil
	}
}
