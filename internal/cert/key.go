package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
)

// ErrUnsupportedKey is wrapped by every error that refuses a public key which
// is well-formed, but of a kind that is not signed. An error of this package
// that does not wrap it says that a key or request cannot be parsed.
var ErrUnsupportedKey = errors.New("unsupported key")

// KeyError refuses a public key of a kind that is not signed. It wraps ErrUnsupportedKey.
type KeyError struct {
	// Kind describes the key, such as "RSA of 1024 bits".
	Kind string
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("unsupported key: %s; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits", e.Kind)
}

// Unwrap returns ErrUnsupportedKey.
func (e *KeyError) Unwrap() error { return ErrUnsupportedKey }

// The RSA keys that are signed. Smaller ones are too weak, and larger ones cost
// whoever verifies them more than they bring. Exponents below 65537 have a
// history of attacks, and FIPS 186-5 §5.1 wants an odd one of at least that.
const (
	minRSABits     = 2048
	maxRSABits     = 4096
	minRSAExponent = 65537
)

// checkKey returns a *KeyError for a key of a kind that is not signed.
func checkKey(key crypto.PublicKey) error {
	supported := false
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		supported = k.Curve == elliptic.P256() || k.Curve == elliptic.P384()
	case ed25519.PublicKey:
		supported = len(k) == ed25519.PublicKeySize
	case *rsa.PublicKey:
		supported = k.N.Sign() > 0 && k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits && k.N.Bit(0) == 1 &&
			k.E >= minRSAExponent && k.E%2 == 1
	}
	if !supported {
		return &KeyError{Kind: describeKey(key)}
	}
	return nil
}

// describeKey says what kind of key it is, for people.
func describeKey(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k == nil || k.Curve == nil {
			return "ECDSA without a curve"
		}
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return fmt.Sprintf("Ed25519 of %d bytes", len(k))
	case *rsa.PublicKey:
		switch {
		case k.N.Sign() <= 0 || k.N.Bit(0) == 0:
			return "RSA with a modulus that is no product of two odd primes"
		case k.E < minRSAExponent || k.E%2 == 0:
			return fmt.Sprintf("RSA with exponent %d", k.E)
		}
		return fmt.Sprintf("RSA of %d bits", k.N.BitLen())
	case nil:
		return "of an unknown algorithm"
	}
	return fmt.Sprintf("%T", key)
}
