package admin

import (
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/rotation"
)

// KeyName is what tells a key from another where it is used: the fingerprint that
// ssh-keygen -l shows, the name in an authority's certificate that openssl shows, or
// the kid in a JWK set.
func KeyName(p cert.Purpose, k rotation.Key) (string, error) {
	public, err := k.PublicKey()
	if err != nil {
		return "", err
	}
	switch {
	case p.IsX509():
		name, err := cert.AuthorityName(p, public)
		return "CN=" + name, err
	case p == cert.JWT:
		id, err := cert.KeyID(public)
		return "kid " + id, err
	}
	return cert.SSHFingerprint(public)
}
