package jwks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a key. Below 2048 bits RSA is broken; above 8192 a verification
// costs so much that an issuer could slow joins down.
const (
	minRSABits = 2048
	maxRSABits = 8192
	maxKID     = 256
)

// errSecret refuses the whole set: whoever publishes a secret key has lost it,
// and the set's other keys are in doubt with it.
var errSecret = errors.New("the issuer publishes a secret key; treat it as compromised until it is withdrawn")

// secretMembers hold secrets (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
var secretMembers = [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// jwk is a public key in the form that is stored. The order of its fields is
// that of the JSON.
type jwk struct {
	KTY string `json:"kty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	KID string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
}

// reader reads the members of a JWK one by one, so that one of a wrong type costs its
// key and not the set. It keeps the first error, which names the member.
type reader struct {
	members map[string]jsontext.Value
	err     error
}

// parseKey reads one key. On an error the kid is returned if there is one, and
// the reason does not repeat it.
func parseKey(raw jsontext.Value) (jwk, error) {
	var r reader
	if err := json.Unmarshal(raw, &r.members); err != nil || r.members == nil {
		return jwk{}, errors.New("is not an object")
	}
	for _, name := range secretMembers {
		if r.has(name) {
			return jwk{}, fmt.Errorf("has the member %q: %w", name, errSecret)
		}
	}
	kid := r.text("kid")
	if r.err != nil {
		return jwk{}, r.err
	}
	if err := checkKID(kid); err != nil {
		return jwk{KID: kid}, err
	}
	k, err := r.material()
	k.KID, k.Use = kid, "sig"
	if err != nil {
		return k, err
	}
	return k, r.checkPurpose(k)
}

func checkKID(kid string) error {
	switch {
	case kid == "":
		return errors.New("has no kid, so no token can name it")
	case len(kid) > maxKID:
		return fmt.Errorf("kid is longer than %d bytes", maxKID)
	case strings.ContainsFunc(kid, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("kid holds characters that cannot be printed")
	}
	return nil
}

// material reads kty and the numbers that belong to it.
func (r *reader) material() (jwk, error) {
	switch kty := r.text("kty"); {
	case r.err != nil:
		return jwk{}, r.err
	case kty == "RSA":
		return r.rsa()
	case kty == "EC":
		return r.p256()
	default:
		return jwk{}, fmt.Errorf("kty is %s; only RSA and EC are used", quote(kty))
	}
}

// checkPurpose refuses a key that is not meant to verify signatures of its
// type (RFC 7517 §4.2 to §4.4).
func (r *reader) checkPurpose(k jwk) error {
	if use := r.text("use"); r.err == nil && r.has("use") && use != "sig" {
		return fmt.Errorf("use is %s; only sig is used", quote(use))
	}
	if raw, ok := r.members["key_ops"]; ok && r.err == nil {
		var ops []string
		if err := json.Unmarshal(raw, &ops); err != nil || !slices.Contains(ops, "verify") {
			return errors.New("key_ops does not hold verify")
		}
	}
	if alg := r.text("alg"); r.err == nil && r.has("alg") && alg != k.Alg {
		return fmt.Errorf("alg is %s; only %s is used with this type of key", quote(alg), k.Alg)
	}
	return r.err
}

// rsa reads an RSA public key (RFC 7518 §6.3.1).
func (r *reader) rsa() (jwk, error) {
	n, e := r.number("n"), r.number("e")
	if r.err != nil {
		return jwk{}, r.err
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < minRSABits || bits > maxRSABits {
		return jwk{}, fmt.Errorf("RSA key has %d bits; %d to %d are used", bits, minRSABits, maxRSABits)
	}
	// An even modulus is no product of two large primes; 1 as exponent would make
	// every message its own signature; above 31 bits crypto/rsa does not go.
	if modulus.Bit(0) == 0 {
		return jwk{}, errors.New("n is even; it is no RSA modulus")
	}
	if bits := exponent.BitLen(); bits < 2 || bits > 31 || exponent.Bit(0) == 0 {
		return jwk{}, errors.New("e must be odd and from 3 to 2147483647")
	}
	return jwk{KTY: "RSA", Alg: "RS256", N: encode(modulus.Bytes()), E: encode(exponent.Bytes())}, nil
}

// p256 reads a P-256 public key (RFC 7518 §6.2.1) and checks that it is a point
// on the curve.
func (r *reader) p256() (jwk, error) {
	crv := r.text("crv")
	if r.err == nil && crv != "P-256" {
		return jwk{}, fmt.Errorf("crv is %s; only P-256 is used", quote(crv))
	}
	x, y := r.number("x"), r.number("y")
	if r.err != nil {
		return jwk{}, r.err
	}
	if len(x) != 32 || len(y) != 32 {
		return jwk{}, errors.New("x and y must have 32 bytes each")
	}
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
		return jwk{}, errors.New("x and y are no point on P-256")
	}
	return jwk{KTY: "EC", Alg: "ES256", Crv: crv, X: encode(x), Y: encode(y)}, nil
}

func (r *reader) has(name string) bool {
	_, ok := r.members[name]
	return ok
}

func (r *reader) fail(name, problem string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s is not %s", name, problem)
	}
}

// text returns a member that must be a string if it is there.
func (r *reader) text(name string) (s string) {
	if raw, ok := r.members[name]; ok && (raw.Kind() != '"' || json.Unmarshal(raw, &s) != nil) {
		r.fail(name, "a string")
		return ""
	}
	return s
}

// number returns the bytes of a base64url member (RFC 7515 §2: no padding, no
// line breaks; the decoder by itself would pass over the latter).
func (r *reader) number(name string) []byte {
	s := r.text(name)
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || s == "" || strings.ContainsAny(s, "\r\n") {
		r.fail(name, "base64url without padding")
	}
	return b
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
