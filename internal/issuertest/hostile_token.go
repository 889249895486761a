package issuertest

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Stranger is a key that no issuer publishes.
type Stranger struct{ key key }

// NewStranger makes a key that claims to be the one of kid and alg.
func NewStranger(kid, alg string) (*Stranger, error) {
	k, err := newKey(kid, alg)
	return &Stranger{k}, err
}

// Signs has the stranger sign a token in the issuer's name.
func (s *Stranger) Signs() Option { return func(d *draft) { d.key = &s.key } }

// JWK is the stranger's public key (RFC 7517), to be embedded in a header.
func (s *Stranger) JWK() (map[string]any, error) {
	j, err := s.key.jwk()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, json.Unmarshal(b, &m)
}

// SignRaw signs a header and a payload as they stand, JSON or not, with the
// key that signs now.
func (i *Issuer) SignRaw(header, payload []byte) (string, error) {
	k, err := i.keys.current("", "")
	if err != nil {
		return "", err
	}
	return k.sign(header, payload)
}

// Payload decodes the payload of a token, to be changed and signed again.
func Payload(token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("token has %d parts", len(parts))
	}
	return base64.RawURLEncoding.DecodeString(parts[1])
}

// Unsigned is a token of algorithm none (RFC 7519 §6.1) with the claims of token.
func Unsigned(token, kid string) (string, error) {
	payload, err := Payload(token)
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]any{"alg": "none", "typ": "JWT", "kid": kid})
	if err != nil {
		return "", err
	}
	return encode(header) + "." + encode(payload) + ".", nil
}

// SignHMAC signs the claims of token with HS256 and a secret of the forger's
// choice, such as an encoding of the public key that the verifier has.
func SignHMAC(token, kid string, secret []byte) (string, error) {
	return Resign(token, kid, "HS256", secret)
}

// Resign signs the claims of token with any algorithm that golang-jwt has and
// a key for it.
func Resign(token, kid, alg string, key any) (string, error) {
	payload, err := Payload(token)
	if err != nil {
		return "", err
	}
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		return "", fmt.Errorf("algorithm %q is not known", alg)
	}
	header, err := json.Marshal(map[string]any{"alg": alg, "typ": "JWT", "kid": kid})
	if err != nil {
		return "", err
	}
	input := encode(header) + "." + encode(payload)
	signature, err := method.Sign(input, key)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return input + "." + encode(signature), nil
}

// Malleate returns an ES256 token with another signature that is just as valid:
// of r and s, s is replaced by n - s.
func Malleate(token string) (string, error) {
	input, last, ok := cutLast(token)
	signature, err := base64.RawURLEncoding.DecodeString(last)
	if !ok || err != nil || len(signature) != 64 {
		return "", errors.New("not a token with a signature of 64 bytes")
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	return input + "." + encode(signature), nil
}

func cutLast(token string) (before, after string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return "", "", false
	}
	return token[:i], token[i+1:], true
}
