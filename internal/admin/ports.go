package admin

import (
	"context"
	"iter"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Resources stores resources. Reads are consistent. A resource that is stored
// but cannot be decoded is an *InvalidError, never passed over.
type Resources interface {
	// Get returns one resource; store.ErrNotFound if it does not exist.
	Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error)
	// List returns all resources of a kind, by name. If some cannot be decoded it
	// returns the others, and an error of errors.Join with an *InvalidError for each.
	List(ctx context.Context, kind rules.Kind) ([]store.Stored, error)
	// Write makes 1 to MaxChanges changes, of MaxBytes or less, to different
	// resources: all of them or none. A *ConflictError says that a resource is no
	// longer as it was. A removal without a revision is refused, and so is a change
	// whose resource has another kind or name.
	Write(ctx context.Context, changes []store.Change) error
}

// Joins reads records.
type Joins interface {
	// Joins yields the records that fit q, newest first unless q says otherwise, and
	// reads them as they are asked for: who stops early has not read the rest.
	// Records of one millisecond come in any order. Numbers among their claims are
	// json.Number. A *DamagedError stands for one record, and others may follow it;
	// any other error is the last.
	Joins(ctx context.Context, q store.Query) iter.Seq2[store.Record, error]
	// Join returns the record of a join id; store.ErrNotFound if there is none.
	Join(ctx context.Context, id string) (store.Record, error)
}

// Revocations stores what was revoked.
type Revocations interface {
	join.Revocations
	// Revoke stores revocations, each unless there is one of its ID already, and
	// returns how many it added. What was stored before an error stays stored: the
	// same call again completes it.
	Revoke(ctx context.Context, all []store.Revocation) (int, error)
	// Forget removes the revocations whose certificates have all ended before t,
	// and returns how many.
	Forget(ctx context.Context, t time.Time) (int, error)
}

// KeySets looks after stored key sets, beside what jwks.Store does.
type KeySets interface {
	// KeySets returns all stored key sets, by issuer.
	KeySets(ctx context.Context) ([]store.KeySet, error)
	// Unpin makes a pinned key set one that is fetched again; store.ErrNotFound
	// if there is none. It changes nothing if the set is not pinned.
	Unpin(ctx context.Context, issuer string) error
}
