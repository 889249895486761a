package admin

import (
	"context"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Static answers from resources at hand, such as those of files, where a store
// would be asked. It has no key sets.
type Static struct {
	resources []rules.Resource
	byID      map[string]rules.Resource
}

// NewStatic returns a Static. A resource that is there twice is an error.
func NewStatic(resources []rules.Resource) (*Static, error) {
	s := &Static{resources: resources, byID: make(map[string]rules.Resource, len(resources))}
	for _, r := range resources {
		id := string(r.Kind()) + "/" + r.Name()
		if s.byID[id] != nil {
			return nil, fmt.Errorf("%s is there twice: keep one of them", id)
		}
		s.byID[id] = r
	}
	return s, nil
}

func named[R rules.Resource](s *Static, kind rules.Kind, name string) (R, error) {
	r, ok := s.byID[string(kind)+"/"+name].(R)
	if !ok {
		return r, store.ErrNotFound
	}
	return r, nil
}

// Token is join.Rules'.
func (s *Static) Token(_ context.Context, name string) (*rules.TokenRule, error) {
	return named[*rules.TokenRule](s, rules.KindToken, name)
}

// Bot is join.Rules'.
func (s *Static) Bot(_ context.Context, name string) (*rules.Bot, error) {
	return named[*rules.Bot](s, rules.KindBot, name)
}

// Roles is join.Rules'.
func (s *Static) Roles(_ context.Context, names []string) ([]*rules.Role, error) {
	var roles []*rules.Role
	seen := map[string]bool{}
	for _, name := range names {
		if r, err := named[*rules.Role](s, rules.KindRole, name); err == nil && !seen[name] {
			seen[name] = true
			roles = append(roles, r)
		}
	}
	return roles, nil
}

// Locks is join.Locks'.
func (s *Static) Locks(context.Context) ([]*rules.Lock, error) {
	var locks []*rules.Lock
	for _, r := range s.resources {
		if l, ok := r.(*rules.Lock); ok {
			locks = append(locks, l)
		}
	}
	return locks, nil
}

// KeySet is join.KeySets': there is none.
func (s *Static) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, store.ErrNotFound
}

// Tokens is Reasons'.
func (s *Static) Tokens(context.Context) ([]*rules.TokenRule, error) {
	var tokens []*rules.TokenRule
	for _, r := range s.resources {
		if t, ok := r.(*rules.TokenRule); ok {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}
