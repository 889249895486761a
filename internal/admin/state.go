package admin

import (
	"context"
	"fmt"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// State is what was stored when it was read: one listing a kind, however many
// resources a plan is about. The zero State has nothing stored.
type State struct {
	byID  map[id]Stored
	order []Stored // by kindOrder, then by name
}

// id names a resource.
type id struct {
	kind rules.Kind
	name string
}

func (i id) String() string { return string(i.kind) + "/" + i.name }

func idOf(r rules.Resource) id { return id{r.Kind(), r.Name()} }

// Read reads all resources of some kinds; without kinds, of all.
func Read(ctx context.Context, store Resources, kinds ...rules.Kind) (State, error) {
	s := State{byID: map[id]Stored{}}
	for _, kind := range kindOrder {
		if len(kinds) > 0 && !containsKind(kinds, kind) {
			continue
		}
		stored, err := store.List(ctx, kind)
		if err != nil {
			return State{}, fmt.Errorf("reading every %s: %w", kind, err)
		}
		for _, one := range stored {
			s.byID[idOf(one.Resource)] = one
		}
		s.order = append(s.order, stored...)
	}
	return s, nil
}

// Get returns a resource and whether there is one.
func (s State) Get(kind rules.Kind, name string) (Stored, bool) {
	stored, ok := s.byID[id{kind, name}]
	return stored, ok
}

// Stored returns everything, locks first, then roles, bots and token rules, each by name.
func (s State) Stored() []Stored { return s.order }

// Resources returns the same without what stores add.
func (s State) Resources() []rules.Resource {
	all := make([]rules.Resource, len(s.order))
	for i, stored := range s.order {
		all[i] = stored.Resource
	}
	return all
}

// After returns what will be stored once the steps are made.
func (s State) After(steps []Step) []rules.Resource {
	changed := make(map[id]bool, len(steps))
	var after []rules.Resource
	for _, step := range steps {
		changed[step.id()] = true
		if step.After != nil {
			after = append(after, step.After)
		}
	}
	for _, stored := range s.order {
		if !changed[idOf(stored.Resource)] {
			after = append(after, stored.Resource)
		}
	}
	return after
}

// All returns every stored resource.
func All(ctx context.Context, store Resources) ([]rules.Resource, error) {
	s, err := Read(ctx, store)
	return s.Resources(), err
}
