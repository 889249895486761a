package cert

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// jwk is a public P-256 key as a JSON Web Key (RFC 7518 §6.2.1). The fields are
// in the order in which a thumbprint needs them.
type jwk struct {
	Curve string `json:"crv"`
	Type  string `json:"kty"`
	X     string `json:"x"`
	Y     string `json:"y"`
}

// publishedJWK is a jwk as published.
type publishedJWK struct {
	jwk
	KeyID     string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

func newJWK(key crypto.PublicKey) (jwk, error) {
	public, err := authorityKey(key)
	if err != nil {
		return jwk{}, err
	}
	point, err := public.Bytes() // 0x04 || X || Y, each of full length (SEC 1 §2.3.3)
	if err != nil {
		return jwk{}, err
	}
	const size = 32
	return jwk{
		Curve: "P-256", Type: "EC",
		X: base64.RawURLEncoding.EncodeToString(point[1 : 1+size]),
		Y: base64.RawURLEncoding.EncodeToString(point[1+size:]),
	}, nil
}

// KeyID returns the SHA-256 thumbprint of an ECDSA P-256 key (RFC 7638 §3), base64url.
func KeyID(key crypto.PublicKey) (string, error) {
	k, err := newJWK(key)
	if err != nil {
		return "", err
	}
	return k.thumbprint()
}

func (k jwk) thumbprint() (string, error) {
	canonical, err := json.Marshal(k)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// JWKS returns ECDSA P-256 keys as a JSON Web Key Set (RFC 7517 §5), in order.
func JWKS(keys []crypto.PublicKey) ([]byte, error) {
	set := struct {
		Keys []publishedJWK `json:"keys"`
	}{Keys: make([]publishedJWK, len(keys))}
	for i, key := range keys {
		k, err := newJWK(key)
		if err != nil {
			return nil, err
		}
		kid, err := k.thumbprint()
		if err != nil {
			return nil, err
		}
		set.Keys[i] = publishedJWK{jwk: k, KeyID: kid, Use: "sig", Algorithm: "ES256"}
	}
	return json.Marshal(set)
}
