package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// reader answers every read with the same.
type reader struct {
	all []store.Stored
	err error
}

func (r reader) Get(context.Context, rules.Kind, string) (store.Stored, error) {
	if r.err != nil {
		return store.Stored{}, r.err
	}
	return r.all[0], nil
}

func (r reader) GetEach(context.Context, rules.Kind, []string) ([]store.Stored, error) {
	return r.all, r.err
}

func (r reader) List(context.Context, rules.Kind) ([]store.Stored, error) { return r.all, r.err }

// The one that is missing might be the lock that stops a join, or the role that takes
// something away.
func TestReadsFailWhole(t *testing.T) {
	lock := store.Stored{Resource: &rules.Lock{Metadata: rules.Metadata{Name: "good"}}}
	invalid := &store.InvalidError{Kind: rules.KindLock, Name: "bad", Err: errors.New("cut off")}
	for name, from := range map[string]reader{
		"one cannot be decoded":  {all: []store.Stored{lock}, err: errors.Join(invalid)},
		"one is of another kind": {all: []store.Stored{{Resource: &rules.Bot{}}, lock}},
	} {
		t.Run(name, func(t *testing.T) {
			if locks, err := store.Locks(t.Context(), from); err == nil || len(locks) > 0 {
				t.Errorf("got the locks %v, %v", locks, err)
			}
			if roles, err := store.Roles(t.Context(), from, []string{"any"}); err == nil || len(roles) > 0 {
				t.Errorf("got the roles %v, %v", roles, err)
			}
			if tokens, err := store.Tokens(t.Context(), from); err == nil || len(tokens) > 0 {
				t.Errorf("got the token rules %v, %v", tokens, err)
			}
			if token, err := store.Token(t.Context(), from, "any"); err == nil || token != nil {
				t.Errorf("got the token rule %v, %v", token, err)
			}
		})
	}
}
