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

// members are the members of a JWK. They are looked at one by one, so that one
// of a wrong type costs its key and not the set.
type members map[string]jsontext.Value

// parseKey reads one key. On an error the kid is returned if there is one, and
// the reason does not repeat it.
func parseKey(raw jsontext.Value) (jwk, error) {
	var m members
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return jwk{}, errors.New("is not an object")
	}
	for _, name := range secretMembers {
		if _, ok := m[name]; ok {
			return jwk{}, fmt.Errorf("has the member %q: %w", name, errSecret)
		}
	}
	kid, _, err := m.text("kid")
	if err != nil {
		return jwk{}, err
	}
	if err := checkKID(kid); err != nil {
		return jwk{KID: kid}, err
	}
	k, err := m.material()
	k.KID, k.Use = kid, "sig"
	if err != nil {
		return k, err
	}
	return k, m.checkPurpose(k)
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
func (m members) material() (jwk, error) {
	kty, _, err := m.text("kty")
	if err != nil {
		return jwk{}, err
	}
	switch kty {
	case "RSA":
		return m.rsa()
	case "EC":
		return m.p256()
	default:
		return jwk{}, fmt.Errorf("kty is %s; only RSA and EC are used", quote(kty))
	}
}

// checkPurpose refuses a key that is not meant to verify signatures of its
// type (RFC 7517 §4.2 to §4.4).
func (m members) checkPurpose(k jwk) error {
	use, ok, err := m.text("use")
	if err != nil {
		return err
	}
	if ok && use != "sig" {
		return fmt.Errorf("use is %s; only sig is used", quote(use))
	}
	if raw, ok := m["key_ops"]; ok {
		var ops []string
		if err := json.Unmarshal(raw, &ops); err != nil || !slices.Contains(ops, "verify") {
			return errors.New("key_ops does not hold verify")
		}
	}
	alg, ok, err := m.text("alg")
	if err != nil {
		return err
	}
	if ok && alg != k.Alg {
		return fmt.Errorf("alg is %s; only %s is used with this type of key", quote(alg), k.Alg)
	}
	return nil
}

// rsa reads an RSA public key (RFC 7518 §6.3.1).
func (m members) rsa() (jwk, error) {
	n, err := m.number("n")
	if err != nil {
		return jwk{}, err
	}
	e, err := m.number("e")
	if err != nil {
		return jwk{}, err
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
func (m members) p256() (jwk, error) {
	crv, _, err := m.text("crv")
	if err != nil {
		return jwk{}, err
	}
	if crv != "P-256" {
		return jwk{}, fmt.Errorf("crv is %s; only P-256 is used", quote(crv))
	}
	x, err := m.number("x")
	if err != nil {
		return jwk{}, err
	}
	y, err := m.number("y")
	if err != nil {
		return jwk{}, err
	}
	if len(x) != 32 || len(y) != 32 {
		return jwk{}, errors.New("x and y must have 32 bytes each")
	}
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err != nil {
		return jwk{}, errors.New("x and y are no point on P-256")
	}
	return jwk{KTY: "EC", Alg: "ES256", Crv: crv, X: encode(x), Y: encode(y)}, nil
}

// text returns a member that must be a string if it is there.
func (m members) text(name string) (s string, ok bool, err error) {
	raw, ok := m[name]
	if !ok {
		return "", false, nil
	}
	if raw.Kind() != '"' || json.Unmarshal(raw, &s) != nil {
		return "", true, fmt.Errorf("%s is not a string", name)
	}
	return s, true, nil
}

// number returns the bytes of a base64url member (RFC 7515 §2: no padding, no
// line breaks; the decoder by itself would pass over the latter).
func (m members) number(name string) ([]byte, error) {
	s, _, err := m.text(name)
	if err != nil {
		return nil, err
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || s == "" || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("%s is not base64url without padding", name)
	}
	return b, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
