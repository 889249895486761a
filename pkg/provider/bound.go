package provider

import (
	"encoding/base64"
	"strings"
)

// BindingMark stands between the audience that a token rule names and the digest of the
// one request that a bound ID token is for: AUDIENCE#gatepass-v1:DIGEST.
const BindingMark = "#gatepass-v1:"

// digests is how a digest is written after the mark: base64url without padding (RFC 4648
// §5), of which each digest has one spelling.
var digests = base64.RawURLEncoding.Strict()

// DigestBytes is the size of a request's digest, a SHA-256.
const DigestBytes = 32

// BoundAudience is the audience of an ID token that is good for one request alone.
func BoundAudience(audience string, digest [DigestBytes]byte) string {
	return audience + BindingMark + digests.EncodeToString(digest[:])
}

// Bound reports whether one of a token's audiences is that of a token rule in its bound
// form, whatever comes after the mark.
func Bound(audience, of string) bool {
	rest, ok := strings.CutPrefix(audience, of)
	return ok && of != "" && strings.HasPrefix(rest, BindingMark)
}

// BoundDigest is the digest in an audience that is bound. ok is false if what comes after
// the last mark is not a digest in its one spelling.
func BoundDigest(audience string) (digest [DigestBytes]byte, ok bool) {
	i := strings.LastIndex(audience, BindingMark)
	if i < 0 {
		return digest, false
	}
	text := audience[i+len(BindingMark):]
	if len(text) != digests.EncodedLen(DigestBytes) || strings.ContainsAny(text, "\r\n") {
		return digest, false
	}
	raw, err := digests.DecodeString(text)
	if err != nil || len(raw) != DigestBytes {
		return digest, false
	}
	return [DigestBytes]byte(raw), true
}
