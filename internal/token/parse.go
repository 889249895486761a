package token

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// MaxBytes is the size of the largest ID token that is looked at.
const MaxBytes = 16 << 10

// Parsed is an ID token whose form is right and of which nothing is believed yet.
type Parsed struct {
	signingInput string // header.payload (RFC 7515 §2)
	signature    []byte
	alg, kid     string
	claims       claims
}

// Parse is step 1: it takes a compact JWS (RFC 7515 §7.1) apart, strictly. The
// error is an *Error with Malformed or UnsupportedAlgorithm.
func Parse(raw string) (*Parsed, error) {
	p, payload, err := parseJWS(raw)
	if err != nil {
		return nil, err
	}
	if p.claims, err = decodeObject("payload", payload); err != nil {
		return nil, err
	}
	return p, nil
}

// parseJWS is Parse up to the payload, which it returns still encoded.
func parseJWS(raw string) (p *Parsed, payload string, err error) {
	header, payload, signature, err := split(raw)
	if err != nil {
		return nil, "", err
	}
	h, err := decodeObject("header", header)
	if err != nil {
		return nil, "", err
	}
	p = &Parsed{signingInput: raw[:len(header)+1+len(payload)]}
	if err := p.readHeader(h); err != nil {
		return nil, "", err
	}
	if p.signature, err = decodeSegment("signature", signature); err != nil {
		return nil, "", err
	}
	if len(p.signature) == 0 {
		return nil, "", refuse(Malformed, "the ID token has no signature; pass it whole, as the CI minted it")
	}
	return p, payload, nil
}

// split parts the three segments. White space is refused here because Go's
// base64 decoder passes over line breaks even when it is strict, and a token
// must not have two spellings.
func split(raw string) (header, payload, signature string, err error) {
	switch {
	case raw == "":
		return "", "", "", refuse(Malformed, "the ID token is empty; let the CI mint one for this job (oidc: true on the step in Bitbucket Pipelines)")
	case len(raw) > MaxBytes:
		return "", "", "", refuse(Malformed, "the ID token has %d bytes, and at most %d are read; pass the token that the CI minted and nothing else", len(raw), MaxBytes)
	case strings.ContainsAny(raw, " \t\r\n"):
		return "", "", "", refuse(Malformed, "the ID token contains white space; pass it without a line break at its end or quotes around it")
	}
	if n := strings.Count(raw, ".") + 1; n != 3 {
		return "", "", "", refuse(Malformed, "the ID token has %d parts separated by dots instead of 3; pass it whole, as the CI minted it", n)
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ = strings.Cut(rest, ".")
	return header, payload, signature, nil
}

// decodeSegment decodes base64url without padding and with zero trailing bits
// (RFC 7515 §2, RFC 4648 §3.5).
func decodeSegment(name, segment string) ([]byte, error) {
	b, err := jwt.NewParser(jwt.WithStrictDecoding()).DecodeSegment(segment)
	if err != nil {
		return nil, refuse(Malformed, "the ID token's %s is not base64url without padding; pass the token as the CI minted it", name).because(err)
	}
	return b, nil
}

func decodeObject(name, segment string) (map[string]any, error) {
	b, err := decodeSegment(name, segment)
	if err != nil {
		return nil, err
	}
	object, err := parseObject(b)
	if err != nil {
		return nil, refuse(Malformed, "the ID token's %s is not a well-formed JSON object; pass the token as the CI minted it", name).because(err)
	}
	return object, nil
}

// readHeader obeys kid, crit, alg and typ. Every other field is ignored: jwk,
// jku, x5u and x5c would let the token choose the key that it is verified by
// (RFC 8725 §2.1, §3.10).
func (p *Parsed) readHeader(h map[string]any) error {
	kid, ok := h["kid"].(string)
	if !ok || kid == "" {
		return refuse(Malformed, "the ID token's header has no kid, a string that names the key it is signed by; pass the token that the CI minted, not one of your own")
	}
	// We understand no extension, so whatever is critical must be refused (RFC 7515 §4.1.11).
	if _, ok := h["crit"]; ok {
		return refuse(Malformed, "the ID token's header has crit, extensions that are not understood here; pass the token that the CI minted")
	}
	alg, ok := h["alg"].(string)
	if !ok {
		return refuse(Malformed, "the ID token's header has no alg, a string; pass the token that the CI minted")
	}
	if signingMethod(alg) == nil {
		return refuse(UnsupportedAlgorithm, "the ID token is not signed with RS256 or ES256, which are the only algorithms accepted; pass the token that the CI minted")
	}
	if typ, ok := h["typ"]; ok && !isJWT(typ) {
		return refuse(Malformed, "the ID token's header says by typ that it is something else than a JWT; pass the ID token that the CI minted for this job")
	}
	p.kid, p.alg = kid, alg
	return nil
}

// isJWT tells whether typ is that of a plain JWT. Others, such as logout+jwt,
// are signed by the same keys and mean something else (RFC 8725 §3.11). The
// prefix may be left out (RFC 7515 §4.1.9).
func isJWT(typ any) bool {
	s, ok := typ.(string)
	return ok && (strings.EqualFold(s, "JWT") || strings.EqualFold(s, "application/jwt"))
}

// Hash is the SHA-256 of header.payload. It names the token whatever its
// signature: an ECDSA signature can be changed into another valid one.
func (p *Parsed) Hash() [32]byte { return sha256.Sum256([]byte(p.signingInput)) }

// KeyID is the kid of the header, never empty. It is the caller's word.
func (p *Parsed) KeyID() string { return p.kid }

// Algorithm is RS256 or ES256.
func (p *Parsed) Algorithm() string { return p.alg }

// String names the token without telling it, lest one be logged by accident.
func (p *Parsed) String() string {
	h := p.Hash()
	return "ID token " + hex.EncodeToString(h[:])
}

// GoString is String.
func (p *Parsed) GoString() string { return p.String() }
