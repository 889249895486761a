package admin

import (
	"context"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Reasons is what a verdict comes from: the rules, locks and key sets of a store,
// or the resources of files.
type Reasons interface {
	join.Rules
	join.Locks
	join.KeySets
	// Tokens returns every token rule.
	Tokens(ctx context.Context) ([]*rules.TokenRule, error)
}

// StoreReasons are those of a store.
func StoreReasons(store Store) Reasons { return storeReasons{store} }

type storeReasons struct{ Store }

func (s storeReasons) Tokens(ctx context.Context) ([]*rules.TokenRule, error) {
	stored, err := s.List(ctx, rules.KindToken)
	if err != nil {
		return nil, fmt.Errorf("reading every token rule: %w", err)
	}
	tokens := make([]*rules.TokenRule, 0, len(stored))
	for _, s := range stored {
		t, ok := s.Resource.(*rules.TokenRule)
		if !ok {
			return nil, fmt.Errorf("the store lists %s/%s among the token rules", s.Resource.Kind(), s.Resource.Name())
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}
