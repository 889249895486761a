package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Token reads a token rule; ErrNotFound if it does not exist.
func Token(ctx context.Context, from ResourceReader, name string) (*rules.TokenRule, error) {
	return one[*rules.TokenRule](ctx, from, rules.KindToken, name)
}

// Tokens reads every token rule, by name.
func Tokens(ctx context.Context, from ResourceReader) ([]*rules.TokenRule, error) {
	return every[*rules.TokenRule](from.List(ctx, rules.KindToken))
}

// Bot reads a bot; ErrNotFound if it does not exist.
func Bot(ctx context.Context, from ResourceReader, name string) (*rules.Bot, error) {
	return one[*rules.Bot](ctx, from, rules.KindBot, name)
}

// Roles reads the roles that exist of those named, in the order of names. A name
// that is there twice yields one role.
func Roles(ctx context.Context, from ResourceReader, names []string) ([]*rules.Role, error) {
	return every[*rules.Role](from.GetEach(ctx, rules.KindRole, names))
}

// Locks reads every lock, by name, expired ones included.
func Locks(ctx context.Context, from ResourceReader) ([]*rules.Lock, error) {
	return every[*rules.Lock](from.List(ctx, rules.KindLock))
}

func one[T rules.Resource](ctx context.Context, from ResourceReader, kind rules.Kind, name string) (T, error) {
	stored, err := from.Get(ctx, kind, name)
	if err != nil {
		var none T
		return none, err
	}
	return as[T](stored)
}

// every fails if any of those asked for could not be read: what is missing might be
// the lock that stops a join.
func every[T rules.Resource](all []Stored, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	resources := make([]T, len(all))
	for i, stored := range all {
		if resources[i], err = as[T](stored); err != nil {
			return nil, err
		}
	}
	return resources, nil
}

// as is a resource by its own type, which its kind promises.
func as[T rules.Resource](stored Stored) (T, error) {
	resource, ok := stored.Resource.(T)
	if !ok {
		return resource, fmt.Errorf("%s/%s is a %T", stored.Resource.Kind(), stored.Resource.Name(), stored.Resource)
	}
	return resource, nil
}

// GetEachByGet is GetEach for a reader that has no better way than to Get one after
// the other.
func GetEachByGet(ctx context.Context, from ResourceReader, kind rules.Kind, names []string) ([]Stored, error) {
	all := make([]Stored, 0, len(names))
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		stored, err := from.Get(ctx, kind, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, stored)
	}
	return all, nil
}
