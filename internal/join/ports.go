package join

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Stores keep times to the nanosecond and return them in UTC; those whose comment
// says whole seconds are rounded up, so that nothing ends or is deleted too early.
// A stored item that cannot be decoded is an error that names it, never as if it
// did not exist. A call whose context has ended returns its error.

// Rules reads resources, consistently: a change that an administrator was told
// is stored is seen by the next read. ErrNotFound for one that does not exist.
type Rules interface {
	Token(ctx context.Context, name string) (*rules.TokenRule, error)
	Bot(ctx context.Context, name string) (*rules.Bot, error)
	// Roles returns the roles that exist of those named, in the order of names. A
	// name that is there twice yields one role.
	Roles(ctx context.Context, names []string) ([]*rules.Role, error)
}

// Locks reads all locks, consistently, expired ones included or not.
type Locks interface {
	Locks(ctx context.Context) ([]*rules.Lock, error)
}

// KeySets reads the key set that was last stored for an issuer; ErrNotFound if none was.
type KeySets interface {
	KeySet(ctx context.Context, issuer string) (store.KeySet, error)
}

// Refresher fetches one issuer's key set and stores it. It returns when the
// store has the result.
type Refresher interface {
	Refresh(ctx context.Context, issuer string) error
}

// Leases hand out the right to do something, to one holder at a time across all
// instances. Lease reports whether the caller got it; it cannot be given back
// and ends at until: from then on it is free. It is granted if nobody holds it
// at now; the holder has no more right to it than others.
type Leases interface {
	Lease(ctx context.Context, name string, now, until time.Time) (bool, error)
}

// Claims remember what each ID token was used for.
type Claims interface {
	// Claim returns the uses of an ID token by digest, empty if there are none.
	// It may lag behind Use by what is under way; Use decides.
	Claim(ctx context.Context, idToken string) (map[string]time.Time, error)
	// Use claims one use of an ID token, in one conditional write that is durable
	// before it returns. If the token was used with the same digest before, it
	// returns the NotAfter of that first use and changes nothing, whatever MaxJoins
	// is by now. Otherwise, if it has fewer than MaxJoins uses, this is another one
	// and its NotAfter is returned; if it has not, ErrUsed. Of any number of concurrent calls, never
	// more than MaxJoins digests succeed. A use is forgotten no earlier than KeepUntil.
	Use(ctx context.Context, u store.Use) (notAfter time.Time, err error)
}

// Records store what each join came to.
type Records interface {
	// Record stores r, in place of an earlier one with the same JoinID. It is
	// durable before it returns. The record may be deleted after keepUntil, in
	// whole seconds. r is not changed.
	Record(ctx context.Context, r store.Record, keepUntil time.Time) error
}

// Revocations reads what was revoked.
type Revocations interface {
	// Revocations returns all revocations, consistently and in any order, those
	// included whose certificates have ended.
	Revocations(ctx context.Context) ([]store.Revocation, error)
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
