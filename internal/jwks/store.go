package jwks

import (
	"context"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// Store keeps key sets.
type Store interface {
	// KeySet tells whether a set is pinned before its issuer is dialed, and
	// what a fetch changed.
	join.KeySets
	// Issuers returns every issuer that a stored token rule names, once, sorted.
	// A token rule that cannot be decoded does not keep it from the others'.
	Issuers(ctx context.Context) ([]string, error)
	// PutKeySet stores a good set and clears its failure. A pinned set replaces
	// whatever is stored. Any other does not replace a pinned one (ErrPinned), and
	// leaves a set that was fetched later as it is, without an error; one that was
	// fetched at the same time is replaced.
	PutKeySet(ctx context.Context, ks store.KeySet) error
	// KeySetFailed notes a fetch that failed and leaves the keys as they are. One
	// that was tried before what is stored tells nothing and changes nothing.
	KeySetFailed(ctx context.Context, issuer string, at time.Time, failure string) error
}
