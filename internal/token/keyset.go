package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// Bounds of an RSA key in bits, as for the key sets that are fetched.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// KeySet holds the public keys of one issuer, in memory. It starts nothing and
// fetches nothing, can be kept, and is safe for concurrent use.
type KeySet struct {
	// byAlg has one keyfunc for each alg, since keys of different algs may share
	// a kid and keyfunc knows them by kid alone.
	byAlg map[string]keyfunc.Keyfunc
	has   map[keyName]bool
}

type keyName struct{ kid, alg string }

// ParseKeySet reads a JWK Set (RFC 7517 §5). Keys that may not verify ID tokens
// are left out: all but RSA of 2048 to 8192 bits and P-256, those without kid
// and those meant for something else. The same kid and alg twice is an error,
// as is a set that no key is left of.
func ParseKeySet(jwks []byte) (*KeySet, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, fmt.Errorf("key set is not well-formed: %w", err)
	}
	k := &KeySet{byAlg: map[string]keyfunc.Keyfunc{}, has: map[keyName]bool{}}
	stores := map[string]jwkset.Storage{"RS256": jwkset.NewMemoryStorage(), "ES256": jwkset.NewMemoryStorage()}
	for _, raw := range set.Keys {
		key, ok := parseKey(raw)
		if !ok {
			continue
		}
		name := keyName{key.Marshal().KID, key.Marshal().ALG.String()}
		if k.has[name] {
			return nil, fmt.Errorf("key set has two %s keys with kid %q", name.alg, name.kid)
		}
		k.has[name] = true
		if err := stores[name.alg].KeyWrite(context.Background(), key); err != nil {
			return nil, fmt.Errorf("keeping key %q: %w", name.kid, err)
		}
	}
	if len(k.has) == 0 {
		return nil, errors.New("key set has no key that may verify ID tokens")
	}
	for alg, store := range stores {
		f, err := keyfunc.New(keyfunc.Options{Storage: store})
		if err != nil {
			return nil, err
		}
		k.byAlg[alg] = f
	}
	return k, nil
}

// parseKey reads a public key (RFC 7517 §4) and reports whether it may be used.
// Only the members named here are looked at; x5u and x5c never are.
func parseKey(raw jsontext.Value) (jwkset.JWK, bool) {
	var m struct {
		Kty    string   `json:"kty"`
		Use    string   `json:"use"`
		KeyOps []string `json:"key_ops"`
		Alg    string   `json:"alg"`
		Kid    string   `json:"kid"`
		Crv    string   `json:"crv"`
		X      string   `json:"x"`
		Y      string   `json:"y"`
		N      string   `json:"n"`
		E      string   `json:"e"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return jwkset.JWK{}, false
	}
	alg := map[string]string{"RSA": "RS256", "EC": "ES256"}[m.Kty]
	switch {
	case m.Kid == "", alg == "", m.Alg != "" && m.Alg != alg:
		return jwkset.JWK{}, false
	case m.Use != "" && m.Use != "sig", m.KeyOps != nil && !slices.Contains(m.KeyOps, "verify"):
		return jwkset.JWK{}, false // RFC 7517 §4.2, §4.3
	}
	key, err := jwkset.NewJWKFromMarshal(jwkset.JWKMarshal{
		KTY: jwkset.KTY(m.Kty), ALG: jwkset.ALG(alg), KID: m.Kid,
		CRV: jwkset.CRV(m.Crv), X: m.X, Y: m.Y, N: m.N, E: m.E,
	}, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	return key, err == nil && usable(key.Key())
}

// usable tells whether a key has the strength and the curve of its alg.
func usable(key any) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits
	case *ecdsa.PublicKey:
		return key.Curve == elliptic.P256()
	default:
		return false
	}
}

// Has tells whether the set has a key of this kid and alg. A nil set has none.
func (k *KeySet) Has(kid, alg string) bool {
	return k != nil && k.has[keyName{kid, alg}]
}

// key returns the key that keyfunc chooses for a header of this kid and alg.
func (k *KeySet) key(kid, alg string) (any, bool) {
	if !k.Has(kid, alg) {
		return nil, false
	}
	key, err := k.byAlg[alg].Keyfunc(&jwt.Token{
		Method: signingMethod(alg),
		Header: map[string]any{"alg": alg, jwkset.HeaderKID: kid},
	})
	return key, err == nil
}
