package join

import (
	"context"

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
