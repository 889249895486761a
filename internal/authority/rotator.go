package authority

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// KeyRing is where a deployment keeps the keys of its authorities.
type KeyRing interface {
	// First is the key of an authority that was never rotated; ErrNone if the
	// deployment has no such authority.
	First(ctx context.Context, p cert.Purpose) (id string, public crypto.PublicKey, err error)
	// Make makes a key that may take the place of the one that signs for a. One that
	// an earlier call made and that a does not know is returned in place of another.
	Make(ctx context.Context, a State) (id string, public crypto.PublicKey, err error)
	// Retire sees to it that nobody signs with a key any more, and deletes nothing.
	// It returns what is left of the key for an administrator to delete: the KMS key,
	// or a file. A key that is gone is retired, and nothing is left of it.
	Retire(ctx context.Context, id string) (left string, err error)
}

// Rotator leads authorities from phase to phase. Each step of an authority is one
// conditional write: whoever is interrupted finds it before or after, and goes on by
// asking for the same step again.
type Rotator struct {
	Store interface {
		Store
		store.Records
	}
	Keys KeyRing
	// Authorities are read after a step: it is done when they can be used.
	Authorities func() (Authorities, error)
	// CacheFor is how long the service may go by what it read of the keys; 0 if it
	// reads them with every join.
	CacheFor time.Duration
	Now      func() time.Time
	Wait     func(ctx context.Context, d time.Duration) error
	// Published, if set, asks the service which keys it tells others to trust. One that
	// does not tell of a new key cannot read it, and could not sign with it.
	Published func(ctx context.Context) (Published, error)
	// Tell, if set, hears of each thing that is about to take time.
	Tell func(doing string)
}

// TooEarlyError says that a step would cut somebody off.
type TooEarlyError struct {
	Purpose cert.Purpose
	From    time.Time // when it no longer does, as far as is known
	Why     string
}

func (e *TooEarlyError) Error() string {
	return fmt.Sprintf("authority %s: it is too early: %s", e.Purpose, e.Why)
}

// Rotated is what a step came to for one authority.
type Rotated struct {
	Stored
	// Changed says that this call made the step; an earlier one can have.
	Changed bool
	// reached is when it was in the store for certain; zero if it is not stored.
	reached time.Time
	// Left are the keys that are past and still there, as KeyRing.Retire names them:
	// to delete them is nobody's but the administrator's to do.
	Left []string
}

// State returns how an authority stands; ErrNone if there is none. One that
// was never rotated has no revision.
func (r *Rotator) State(ctx context.Context, p cert.Purpose) (Stored, error) {
	all, err := r.Store.RotatedAuthorities(ctx)
	if err != nil {
		return Stored{}, err
	}
	// Of one that was rotated the first key may be gone for long.
	if i := slices.IndexFunc(all, func(s Stored) bool { return s.Purpose == p }); i >= 0 {
		return all[i], nil
	}
	id, public, err := r.Keys.First(ctx, p)
	if err != nil {
		return Stored{}, err
	}
	first, err := First(p, id, public)
	return Stored{State: first}, err
}

// Rotate takes one step with each of the authorities, or with none if one of them
// cannot take it. What is true when it returns is true for the whole service.
func (r *Rotator) Rotate(ctx context.Context, step Step, force bool, purposes ...cert.Purpose) ([]Rotated, error) {
	states := make([]Rotated, len(purposes))
	for i, p := range purposes {
		stored, err := r.State(ctx, p)
		if err != nil {
			return nil, err
		}
		states[i] = Rotated{Stored: stored}
		if stored.Revision != "" {
			states[i].reached = stored.UpdatedAt.Add(r.writeTime())
		}
		if !stored.took(step) {
			if err := r.check(ctx, step, stored.State, force); err != nil {
				return nil, err
			}
			states[i].Changed = true
		}
	}
	// A step before this one, whose run was interrupted, must have reached all.
	if err := r.settle(ctx, states, func(s Rotated) bool { return s.Changed }); err != nil {
		return nil, err
	}
	if step == StepSign {
		if err := r.confirm(ctx, states); err != nil {
			return nil, err
		}
	}
	for i := range states {
		if s := &states[i]; s.Changed {
			if err := r.take(ctx, step, s); err != nil {
				return nil, err
			}
		}
	}
	if err := r.settle(ctx, states, func(Rotated) bool { return true }); err != nil {
		return states, err
	}
	return states, r.complete(ctx, step, states)
}

// check tells whether an authority can take a step now.
func (r *Rotator) check(ctx context.Context, step Step, a State, force bool) error {
	now := r.Now()
	if _, err := a.after(step, now); err != nil || force || step == StepAnnounce || step == StepBack && a.Phase() == Switched {
		return err
	}
	from, why, err := r.earliest(ctx, step, a, now)
	if err == nil && now.Before(from) {
		return &TooEarlyError{a.Purpose, from, why}
	}
	return err
}

// take makes the step and stores it.
func (r *Rotator) take(ctx context.Context, step Step, s *Rotated) error {
	after, now, err := r.after(ctx, step, s.State)
	if err != nil {
		return err
	}
	if err := r.Store.PutRotatedAuthority(ctx, after, s.Revision, now); err != nil {
		return err
	}
	s.State, s.UpdatedAt, s.reached = after, now.UTC(), r.Now()
	return nil
}

// after is the authority after a step that is made at the time that it returns.
func (r *Rotator) after(ctx context.Context, step Step, a State) (State, time.Time, error) {
	if step != StepAnnounce {
		now := r.Now()
		after, err := a.after(step, now)
		return after, now, err
	}
	r.tell(fmt.Sprintf("making a key for the authority %s", a.Purpose))
	id, public, err := r.Keys.Make(ctx, a)
	if err != nil {
		return a, time.Time{}, fmt.Errorf("authority %s: %w", a.Purpose, err)
	}
	now := r.Now() // making a key takes time
	after, err := a.Begin(id, public, now)
	return after, now, err
}

// settle waits until every part of the service goes by what was stored of those
// states that are asked for.
func (r *Rotator) settle(ctx context.Context, states []Rotated, about func(Rotated) bool) error {
	var longest time.Duration
	for _, s := range states {
		if r.CacheFor > 0 && about(s) && !s.reached.IsZero() {
			// Another administrator's clock may be ahead of this one.
			longest = max(longest, min(s.reached.Sub(r.Now()), r.writeTime())+r.CacheFor)
		}
	}
	if longest <= 0 {
		return ctx.Err()
	}
	r.tell(fmt.Sprintf("waiting %s, until no part of the service goes by what it read before", longest.Round(time.Second)))
	return r.Wait(ctx, longest)
}

// writeTime is how long a write is taken to last of which nobody here saw the answer.
func (r *Rotator) writeTime() time.Duration { return min(WriteTime, r.CacheFor) }

// complete does what follows when the whole service goes by the new state.
func (r *Rotator) complete(ctx context.Context, step Step, states []Rotated) error {
	all, err := r.Authorities()
	if err != nil {
		return err
	}
	for i := range states {
		s := &states[i]
		a, err := all.Authority(ctx, s.Purpose)
		if err != nil {
			return err
		}
		if used := s.InUse(); len(a.TrustedKeys) != len(used) || !used[0].Is(a.Signer.Public()) {
			return fmt.Errorf("authority %s was changed by someone else meanwhile", s.Purpose)
		}
	}
	if err := r.confirm(ctx, states); err != nil {
		return err
	}
	if step != StepFinish && step != StepBack {
		return nil
	}
	for i := range states {
		if err := r.retire(ctx, &states[i]); err != nil {
			return err
		}
	}
	return nil
}

// retire puts keys out of use that are past, also what an earlier run did not come to.
func (r *Rotator) retire(ctx context.Context, s *Rotated) error {
	for _, k := range s.Keys {
		if k.Use != Retired {
			continue
		}
		left, err := r.Keys.Retire(ctx, k.ID)
		if err != nil {
			return fmt.Errorf("authority %s: a key of it is no longer trusted, but not put out of use: %w", s.Purpose, err)
		}
		if left != "" {
			s.Left = append(s.Left, left)
		}
	}
	return nil
}

func (r *Rotator) tell(doing string) {
	if r.Tell != nil {
		r.Tell(doing)
	}
}

// clock writes a time as people say it at now.
func clock(now, t time.Time) string {
	if y, m, d := now.UTC().Date(); t.UTC().Year() == y && t.UTC().Month() == m && t.UTC().Day() == d {
		return t.UTC().Format("15:04:05 UTC")
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
