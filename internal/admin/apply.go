package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Action is what a step of a plan does to a resource.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Remove    Action = "remove"
	Unchanged Action = "unchanged"
)

// Step is what happens to one resource.
type Step struct {
	Action Action
	Kind   rules.Kind
	Name   string
	Before rules.Resource // nil if it does not exist
	After  rules.Resource // nil if it is removed

	revision string // of Before
}

// ID is how people write the resource: kind/name.
func (s Step) ID() string { return string(s.Kind) + "/" + s.Name }

// kindOrder puts what is referred to before what refers to it, so that a run
// that is cut short never leaves a token rule without its bot, or a bot without its roles.
var kindOrder = []rules.Kind{rules.KindLock, rules.KindRole, rules.KindBot, rules.KindToken}

// Plan compares resources with what is stored. Steps are in the order in which
// Execute makes them. A resource that is there twice is an error.
func Plan(ctx context.Context, store Resources, wanted []rules.Resource) ([]Step, error) {
	steps := make([]Step, 0, len(wanted))
	seen := map[string]bool{}
	for _, r := range wanted {
		s := Step{Kind: r.Kind(), Name: r.Name(), After: r, Action: Create}
		if seen[s.ID()] {
			return nil, fmt.Errorf("%s is there twice: keep one of them", s.ID())
		}
		seen[s.ID()] = true
		stored, err := store.Get(ctx, s.Kind, s.Name)
		switch {
		case errors.Is(err, join.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("reading %s: %w", s.ID(), err)
		default:
			s.Before, s.revision, s.Action = stored.Resource, stored.Revision, Update
			same, err := equal(stored.Resource, r)
			if err != nil {
				return nil, err
			}
			if same {
				s.Action = Unchanged
			}
		}
		steps = append(steps, s)
	}
	slices.SortStableFunc(steps, func(x, y Step) int {
		if d := slices.Index(kindOrder, x.Kind) - slices.Index(kindOrder, y.Kind); d != 0 {
			return d
		}
		return strings.Compare(x.Name, y.Name)
	})
	return steps, nil
}

// PlanRemove plans the removal of one resource; join.ErrNotFound if it does not exist.
func PlanRemove(ctx context.Context, store Resources, kind rules.Kind, name string) (Step, error) {
	stored, err := store.Get(ctx, kind, name)
	if err != nil {
		return Step{}, err
	}
	return Step{Action: Remove, Kind: kind, Name: name, Before: stored.Resource, revision: stored.Revision}, nil
}

// Execute makes the steps of a plan: up to MaxChanges in one transaction, more
// in several, which a second run of the same plan completes. It returns how many
// changes were stored; a *ConflictError says that someone else changed one meanwhile.
func Execute(ctx context.Context, store Resources, steps []Step, now time.Time) (int, error) {
	var changes []Change
	for _, s := range steps {
		if s.Action != Unchanged {
			changes = append(changes, Change{Kind: s.Kind, Name: s.Name, Resource: s.After, Revision: s.revision, At: now})
		}
	}
	done := 0
	for batch := range slices.Chunk(changes, MaxChanges) {
		if err := store.Write(ctx, batch); err != nil {
			return done, err
		}
		done += len(batch)
	}
	return done, nil
}

func equal(x, y rules.Resource) (bool, error) {
	a, err := rules.Encode(x)
	if err != nil {
		return false, err
	}
	b, err := rules.Encode(y)
	if err != nil {
		return false, err
	}
	return bytes.Equal(a, b), nil
}

// All returns every stored resource.
func All(ctx context.Context, store Resources) ([]rules.Resource, error) {
	var all []rules.Resource
	for _, kind := range kindOrder {
		stored, err := store.List(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("reading every %s: %w", kind, err)
		}
		for _, s := range stored {
			all = append(all, s.Resource)
		}
	}
	return all, nil
}

// After returns what will be stored once the steps are made.
func After(stored []rules.Resource, steps []Step) []rules.Resource {
	changed := map[string]bool{}
	var after []rules.Resource
	for _, s := range steps {
		changed[s.ID()] = true
		if s.After != nil {
			after = append(after, s.After)
		}
	}
	for _, r := range stored {
		if !changed[string(r.Kind())+"/"+r.Name()] {
			after = append(after, r)
		}
	}
	return after
}

// Orphans returns who would refer to nothing if the resource went: the bots of a
// role, the token rules of a bot.
func Orphans(stored []rules.Resource, kind rules.Kind, name string) []string {
	var orphans []string
	for _, r := range stored {
		switch r := r.(type) {
		case *rules.Bot:
			if kind == rules.KindRole && slices.Contains(r.Roles, name) {
				orphans = append(orphans, "bot/"+r.Name())
			}
		case *rules.Token:
			if kind == rules.KindBot && r.BotName == name {
				orphans = append(orphans, "token/"+r.Name())
			}
		}
	}
	slices.Sort(orphans)
	return orphans
}
