package admin

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Action is what a step of a plan does to a resource.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	// Adopt stores what is stored already, but as coming from files: it was
	// edited by hand, and the files now say the same.
	Adopt     Action = "adopt"
	Remove    Action = "remove"
	Unchanged Action = "unchanged"
)

// Step is what happens to one resource.
type Step struct {
	Action Action
	Kind   rules.Kind
	Name   string
	Before rules.Resource // nil if it does not exist, or cannot be decoded
	After  rules.Resource // nil if it is removed
	// Edited says that Before was written by hand at EditedAt, so that it is not
	// what files last said: an Update or a Remove undoes that.
	Edited   bool
	EditedAt time.Time

	revision string // of Before
	byHand   bool   // After is
}

// ID is how people write the resource: kind/name.
func (s Step) ID() string { return s.id().String() }

func (s Step) id() store.Key { return store.Key{Kind: s.Kind, Name: s.Name} }

// Undoes tells whether the step undoes, from files, what was changed by hand.
func (s Step) Undoes() bool {
	return s.Edited && !s.byHand && (s.Action == Update || s.Action == Remove)
}

// kindOrder puts what is referred to before what refers to it, so that a run
// that is cut short never leaves a token rule without its bot, or a bot without
// its roles. What stops joins comes first.
var kindOrder = []rules.Kind{rules.KindLock, rules.KindRole, rules.KindBot, rules.KindToken}

func containsKind(kinds []rules.Kind, kind rules.Kind) bool { return slices.Contains(kinds, kind) }

// Plan compares resources with what is stored. Steps are in the order in which
// Execute makes them. A resource that is there twice is an error.
func (s State) Plan(wanted []rules.Resource) ([]Step, error) {
	steps := make([]Step, 0, len(wanted))
	seen := make(map[store.Key]bool, len(wanted))
	for _, r := range wanted {
		if seen[store.KeyOf(r)] {
			return nil, fmt.Errorf("%s is there twice: keep one of them", store.KeyOf(r))
		}
		seen[store.KeyOf(r)] = true
		step := Step{Kind: r.Kind(), Name: r.Name(), After: r, Action: Create}
		if invalid := s.invalid[store.KeyOf(r)]; invalid != nil {
			step.Action, step.revision = Update, invalid.Revision
		}
		if stored, ok := s.Get(step.Kind, step.Name); ok {
			same, err := equal(stored.Resource, r)
			if err != nil {
				return nil, err
			}
			step = step.onto(stored)
			switch {
			case same && stored.Edited:
				step.Action = Adopt
			case same:
				step.Action = Unchanged
			default:
				step.Action = Update
			}
		}
		steps = append(steps, step)
	}
	Sort(steps)
	return steps, nil
}

// onto makes the step one that is only right while stored is as it is.
func (s Step) onto(stored store.Stored) Step {
	s.Before, s.revision = stored.Resource, stored.Revision
	s.Edited, s.EditedAt = stored.Edited, stored.UpdatedAt
	return s
}

// PlanEdit plans to replace a resource by what someone wrote by hand.
func PlanEdit(stored store.Stored, edited rules.Resource) (Step, error) {
	step := Step{Action: Update, Kind: edited.Kind(), Name: edited.Name(), After: edited, byHand: true}
	if store.KeyOf(stored.Resource) != store.KeyOf(edited) {
		return Step{}, fmt.Errorf("%s cannot become %s", store.KeyOf(stored.Resource), store.KeyOf(edited))
	}
	same, err := equal(stored.Resource, edited)
	if same {
		step.Action = Unchanged
	}
	return step.onto(stored), err
}

// PlanRemove plans the removal of a resource; store.ErrNotFound if it does not exist.
func (s State) PlanRemove(kind rules.Kind, name string) (Step, error) {
	if invalid := s.invalid[store.Key{Kind: kind, Name: name}]; invalid != nil {
		return Step{Action: Remove, Kind: kind, Name: name, revision: invalid.Revision}, nil
	}
	stored, ok := s.Get(kind, name)
	if !ok {
		return Step{}, fmt.Errorf("%s: %w", store.Key{Kind: kind, Name: name}, store.ErrNotFound)
	}
	return removal(stored), nil
}

func removal(stored store.Stored) Step {
	r := stored.Resource
	return Step{Action: Remove, Kind: r.Kind(), Name: r.Name()}.onto(stored)
}

// Sort puts steps in the order in which they are safe to make: what is referred to
// first, and removals last and the other way round. Locks come first of all, and go
// last: a run that is cut short rather stops too many joins than too few.
func Sort(steps []Step) {
	rank := func(s Step) int {
		kind := slices.Index(kindOrder, s.Kind)
		if s.Action == Remove {
			return 2*len(kindOrder) - kind
		}
		return kind
	}
	slices.SortStableFunc(steps, func(x, y Step) int {
		if d := rank(x) - rank(y); d != 0 {
			return d
		}
		return strings.Compare(x.Name, y.Name)
	})
}

// Progress is told after each transaction how many changes of how many are stored.
type Progress func(done, total int)

// Execute makes the steps of a plan: what one Write takes in one transaction, more
// in several, which a second run of the same plan completes. It returns how many
// changes were stored; a *ConflictError says that someone else changed one meanwhile.
func Execute(ctx context.Context, s store.Resources, steps []Step, now time.Time, watch ...Progress) (int, error) {
	batches, total, err := batches(steps, now)
	if err != nil {
		return 0, err
	}
	done := 0
	for _, batch := range batches {
		if err := s.Write(ctx, batch); err != nil {
			return done, err
		}
		done += len(batch)
		for _, seen := range watch {
			seen(done, total)
		}
	}
	return done, nil
}

// batches are the changes of steps, so many together as one Write takes.
func batches(steps []Step, now time.Time) (all [][]store.Change, total int, err error) {
	size := 0
	for _, s := range steps {
		if s.Action == Unchanged {
			continue
		}
		weight := 0
		if s.After != nil {
			encoded, err := rules.Encode(s.After)
			if err != nil {
				return nil, 0, err
			}
			weight = len(encoded)
		}
		last := len(all) - 1
		if last < 0 || len(all[last]) == store.MaxChanges || size+weight > store.MaxBytes {
			all, size = append(all, nil), 0
			last++
		}
		all[last] = append(all[last], store.Change{
			Kind: s.Kind, Name: s.Name, Resource: s.After, Revision: s.revision, At: now, Edited: s.byHand,
		})
		size += weight
		total++
	}
	return all, total, nil
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
