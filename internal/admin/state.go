package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// State is what was stored when it was read: one listing a kind, however many
// resources a plan is about. The zero State has nothing stored.
type State struct {
	byID    map[store.Key]store.Stored
	order   []store.Stored // by kindOrder, then by name
	invalid map[store.Key]*store.InvalidError
}

// Read reads all resources of some kinds; without kinds, of all. What cannot be
// decoded is no error here: it can be applied again, or removed. See Invalid.
func Read(ctx context.Context, st store.Resources, kinds ...rules.Kind) (State, error) {
	s := State{byID: map[store.Key]store.Stored{}, invalid: map[store.Key]*store.InvalidError{}}
	for _, kind := range kindOrder {
		if len(kinds) > 0 && !containsKind(kinds, kind) {
			continue
		}
		stored, err := st.List(ctx, kind)
		if err := s.passOver(err); err != nil {
			return State{}, fmt.Errorf("reading every %s: %w", kind, err)
		}
		for _, one := range stored {
			s.byID[store.KeyOf(one.Resource)] = one
		}
		s.order = append(s.order, stored...)
	}
	return s, nil
}

// passOver keeps what is invalid, and returns any other error.
func (s State) passOver(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, one := range joined.Unwrap() {
		invalid, ok := errors.AsType[*store.InvalidError](one)
		if !ok {
			return err
		}
		s.invalid[store.Key{Kind: invalid.Kind, Name: invalid.Name}] = invalid
	}
	return nil
}

// Invalid returns what is stored and cannot be decoded, save what the steps
// replace or remove: an error of errors.Join, or nil.
func (s State) Invalid(steps []Step) error {
	mended := map[store.Key]bool{}
	for _, step := range steps {
		mended[step.id()] = true
	}
	var left []error
	for _, invalid := range s.invalid {
		if !mended[store.Key{Kind: invalid.Kind, Name: invalid.Name}] {
			left = append(left, invalid)
		}
	}
	slices.SortFunc(left, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(left...)
}

// Get returns a resource and whether there is one.
func (s State) Get(kind rules.Kind, name string) (store.Stored, bool) {
	stored, ok := s.byID[store.Key{Kind: kind, Name: name}]
	return stored, ok
}

// After returns what will be stored once the steps are made; without any, what is stored.
func (s State) After(steps []Step) []rules.Resource {
	changed := make(map[store.Key]bool, len(steps))
	var after []rules.Resource
	for _, step := range steps {
		changed[step.id()] = true
		if step.After != nil {
			after = append(after, step.After)
		}
	}
	for _, stored := range s.order {
		if !changed[store.KeyOf(stored.Resource)] {
			after = append(after, stored.Resource)
		}
	}
	return after
}
