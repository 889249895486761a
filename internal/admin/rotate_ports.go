package admin

import (
	"context"
	"crypto"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/rotation"
)

// AuthorityStore stores which keys the authorities have that were ever rotated.
type AuthorityStore interface {
	rotation.Reader
	// PutRotatedAuthority stores a in place of the one of this revision, which is
	// empty if none must exist, in one conditional write. A *ConflictError says that
	// it is no longer as it was.
	PutRotatedAuthority(ctx context.Context, a rotation.Authority, revision string, at time.Time) error
}

// KeyRing is where a deployment keeps the keys of its authorities.
type KeyRing interface {
	// First is the key of an authority that was never rotated; store.ErrNotFound if
	// the deployment has no such authority.
	First(ctx context.Context, p cert.Purpose) (id string, public crypto.PublicKey, err error)
	// Make makes a key that may take the place of the one that signs for a. One that
	// an earlier call made and that a does not know is returned in place of another.
	Make(ctx context.Context, a rotation.Authority) (id string, public crypto.PublicKey, err error)
	// Retire sees to it that nobody signs with a key any more, and deletes nothing.
	// It returns the command that does. A key that is gone is retired.
	Retire(ctx context.Context, id string) (remove string, err error)
}
