package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// NewIssuers returns the issuers of the token rules that steps store, once each,
// that have no keys stored.
func NewIssuers(ctx context.Context, st store.KeySetReader, steps []Step) ([]string, error) {
	var issuers []string
	seen := map[string]bool{}
	for _, s := range steps {
		t, ok := s.After.(*rules.TokenRule)
		if !ok || s.Action == Unchanged || seen[t.Issuer()] {
			continue
		}
		seen[t.Issuer()] = true
		ks, err := st.KeySet(ctx, t.Issuer())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("reading the key set of %s: %w", t.Issuer(), err)
		}
		if len(ks.JWKS) == 0 {
			issuers = append(issuers, t.Issuer())
		}
	}
	return issuers, nil
}
