package jwks

import (
	"context"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// Import stores a key set by hand, pinned: it replaces whatever is stored, is
// never fetched over and never stale. jwks is cleaned as a fetched one is; what
// was dropped is returned, also with an error.
func Import(ctx context.Context, s store.KeySets, issuer string, jwks []byte, now time.Time) (store.KeySet, []Dropped, error) {
	if err := ValidateIssuer(issuer); err != nil {
		return store.KeySet{}, nil, err
	}
	cleaned, dropped, err := Clean(jwks)
	if err != nil {
		return store.KeySet{}, dropped, err
	}
	now = now.UTC()
	ks := store.KeySet{Issuer: issuer, JWKS: cleaned, FetchedAt: now, TriedAt: now, Pinned: true}
	if err := s.PutKeySet(ctx, ks); err != nil {
		return store.KeySet{}, dropped, fmt.Errorf("storing the key set of %s: %w", issuer, err)
	}
	return ks, dropped, nil
}
