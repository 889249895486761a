package authority

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// ErrNone says that a deployment has no authority of a purpose. It is not the error
// of a store: an item that is missing must not pass for an authority that is left out.
var ErrNone = errors.New("not found")

// ErrApart says that the signing keys and the store do not belong together: one of them
// was lost, or is older than the other.
var ErrApart = errors.New("the keys and the store do not belong together")

// Authorities give the signing keys.
type Authorities interface {
	// Authority returns the authority of a purpose, ready to sign within ctx;
	// ErrNone if this deployment has none. Its errors name the authority.
	Authority(ctx context.Context, p cert.Purpose) (*Authority, error)
	// Prepare reads what is due to be read of keys that can change while the service
	// runs, so that Authority need not: a join calls it while it reads the token
	// rule. What could not be read is for Authority to read, or to fail by.
	Prepare(ctx context.Context)
}

// All returns the authorities of these purposes, in this order. One that the
// deployment lacks is left out, and one of another purpose than it was given for is
// an error.
func All(ctx context.Context, from Authorities, purposes ...cert.Purpose) ([]*Authority, error) {
	var all []*Authority
	for _, p := range purposes {
		a, err := from.Authority(ctx, p)
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if a.Purpose != p {
			return nil, fmt.Errorf("the authority %s was given for %s", a.Purpose, p)
		}
		all = append(all, a)
	}
	return all, nil
}

// Authority is one signing key, for one purpose only.
type Authority struct {
	Purpose cert.Purpose
	Signer  crypto.Signer
	// Certificate is the self-signed certificate of an X.509 authority.
	Certificate *x509.Certificate
	// TrustedKeys are the public keys that servers shall trust, the signer's
	// first; several during a rotation.
	TrustedKeys []crypto.PublicKey
	// TrustedCertificates are the same for an X.509 authority.
	TrustedCertificates []*x509.Certificate
	// OtherSigners sign by trusted keys that are not the Signer's, as far as that is
	// possible. They sign revocation lists and nothing else: a server that checks
	// them wants one of every authority that it trusts.
	OtherSigners []crypto.Signer
}

// Add adds a key that servers trust, and its certificate if it is of an X.509
// authority. The key that signs is added first.
func (a *Authority) Add(signs bool, s crypto.Signer, certificate *x509.Certificate) {
	if signs {
		a.Signer, a.Certificate = s, certificate
	} else {
		a.OtherSigners = append(a.OtherSigners, s)
	}
	a.TrustedKeys = append(a.TrustedKeys, s.Public())
	if certificate != nil {
		a.TrustedCertificates = append(a.TrustedCertificates, certificate)
	}
}

// Fingerprints returns the fingerprints of what servers trust, the signer's first:
// as ssh-keygen -l and openssl x509 -fingerprint -sha256 show them, and of a JWT's
// key its kid (RFC 7638).
func (a *Authority) Fingerprints() ([]string, error) {
	var prints []string
	for _, c := range a.TrustedCertificates {
		prints = append(prints, cert.X509Fingerprint(c))
	}
	if len(prints) > 0 {
		return prints, nil
	}
	fingerprint := cert.SSHFingerprint
	if a.Purpose == cert.JWT {
		fingerprint = cert.KeyID
	}
	for _, key := range a.TrustedKeys {
		p, err := fingerprint(key)
		if err != nil {
			return nil, err
		}
		prints = append(prints, p)
	}
	return prints, nil
}

// x509Prefix begins the purpose of an X.509 authority; the usage that it signs is the rest.
const x509Prefix = "x509-"

// SignerOf returns the authority that signs credentials of a type and, if they are
// X.509 certificates, a usage; empty if none does.
func SignerOf(credentialType, usage string) cert.Purpose {
	switch p := cert.Purpose(x509Prefix + usage); {
	case credentialType == api.TypeSSH:
		return cert.SSHUser
	case credentialType == api.TypeJWT:
		return cert.JWT
	case p.IsX509():
		return p
	}
	return ""
}
