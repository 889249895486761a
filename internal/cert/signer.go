package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
)

// authoritySigner is an authority's key whose public half was looked at once:
// products are checked against the key that was known before anything was
// signed, whatever the signer says afterwards.
type authoritySigner struct {
	crypto.Signer
	public *ecdsa.PublicKey
}

// Public returns the public key as first seen.
func (s authoritySigner) Public() crypto.PublicKey { return s.public }

func newAuthoritySigner(s crypto.Signer) (authoritySigner, error) {
	if s == nil {
		return authoritySigner{}, errors.New("there is no signing key")
	}
	public, err := authorityKey(s.Public())
	return authoritySigner{Signer: s, public: public}, err
}

// authorityKey refuses a public key that cannot be an authority's. All of them
// are ECDSA P-256: KMS has that, ES256 (RFC 7518 §3.4) needs it, and one
// algorithm is easier to reason about than several.
func authorityKey(key crypto.PublicKey) (*ecdsa.PublicKey, error) {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || public == nil || public.Curve != elliptic.P256() {
		return nil, fmt.Errorf("the key of an authority must be ECDSA P-256 (in KMS: ECC_NIST_P256), not %s", describeKey(key))
	}
	return public, nil
}

// ParseAuthorityKey reads the public half of an authority's key (PKIX, DER).
func ParseAuthorityKey(der []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	public, err := authorityKey(parsed)
	if err != nil {
		return nil, errors.New("it is not ECDSA P-256")
	}
	return public, nil
}

// check is one thing that must hold of a product.
type check struct {
	holds bool
	what  string
}

// checkAll returns an error that names the first of checks that does not hold.
// A failure is a fault of ours or of the signer's; the product must not leave.
func checkAll(product string, checks []check) error {
	for _, c := range checks {
		if !c.holds {
			return fmt.Errorf("the %s that was made does not hold what was asked for: %s differs", product, c.what)
		}
	}
	return nil
}
