package admin

import (
	"context"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Reasons is what a verdict comes from: the rules, locks and key sets of a store,
// or the resources of files.
type Reasons interface {
	store.ResourceReader
	store.KeySetReader
}

// Static answers from resources at hand, such as those of files, where a store
// would be asked. It has no key sets.
type Static struct {
	resources []rules.Resource
	byKey     map[store.Key]rules.Resource
}

// NewStatic returns a Static. A resource that is there twice is an error.
func NewStatic(resources []rules.Resource) (*Static, error) {
	s := &Static{resources: resources, byKey: make(map[store.Key]rules.Resource, len(resources))}
	for _, r := range resources {
		key := store.KeyOf(r)
		if s.byKey[key] != nil {
			return nil, fmt.Errorf("%s is there twice: keep one of them", key)
		}
		s.byKey[key] = r
	}
	return s, nil
}

// Get is store.ResourceReader's.
func (s *Static) Get(_ context.Context, kind rules.Kind, name string) (store.Stored, error) {
	r, ok := s.byKey[store.Key{Kind: kind, Name: name}]
	if !ok {
		return store.Stored{}, store.ErrNotFound
	}
	return store.Stored{Resource: r}, nil
}

// GetEach is store.ResourceReader's.
func (s *Static) GetEach(ctx context.Context, kind rules.Kind, names []string) ([]store.Stored, error) {
	return store.GetEachByGet(ctx, s, kind, names)
}

// List is store.ResourceReader's, save that it is in the order of the files.
func (s *Static) List(_ context.Context, kind rules.Kind) ([]store.Stored, error) {
	var all []store.Stored
	for _, r := range s.resources {
		if r.Kind() == kind {
			all = append(all, store.Stored{Resource: r})
		}
	}
	return all, nil
}

// KeySet is store.KeySetReader's: there is none.
func (s *Static) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, store.ErrNotFound
}
