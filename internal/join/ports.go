package join

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/netip"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// Store is what a join reads, and where it leaves what it came to. An error that is
// neither store.ErrNotFound nor store.ErrUsed refuses the join.
type Store interface {
	store.ResourceReader
	store.KeySetReader
	store.Ledger
}

// Refresher fetches one issuer's key set and stores it. It returns when the
// store has the result.
type Refresher interface {
	Refresh(ctx context.Context, issuer string) error
}

// Authorities give the signing keys.
type Authorities interface {
	// Authority returns the authority of a purpose, ready to sign within ctx;
	// ErrNotFound if this deployment has none.
	Authority(ctx context.Context, p cert.Purpose) (*Authority, error)
}

// Preparer is what Authorities are besides if their keys can change while the
// service runs. Prepare reads what is due to be read of them, so that Authority
// need not: a join calls it while it reads the token rule. What could not be read
// is for Authority to read, or to fail by.
type Preparer interface {
	Prepare(ctx context.Context)
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

// Caller is what the transport knows of who asks.
type Caller struct {
	// Addr is the source address; the zero Addr if it is not known.
	Addr netip.Addr
}
