package authority

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

const (
	// CacheFor is how long a function may go by what it has read of the keys.
	CacheFor = 60 * time.Second
	// WriteTime is how long a write may take, from the time that it says it was made at.
	WriteTime = 15 * time.Second
	// answerTime is how long a join that is under way may take.
	answerTime = 30 * time.Second
	// HostTTL is how long a host certificate is valid unless its maker chose otherwise.
	HostTTL = 90 * 24 * time.Hour
)

// life is how long what an authority signs is valid at the most, as far as that is
// known: administrators may give host certificates more.
func life(p cert.Purpose) time.Duration {
	if p == cert.SSHHost {
		return HostTTL
	}
	return cert.MaxTTL
}

// rollout is the least time between telling of a new key and signing with it.
//
// Servers take what administrators bring them, which needs an hour if it is quick.
// Jobs know SSH hosts by what they were told when they joined, which may be as long
// ago as a credential lasts. Relying parties of JWTs keep key sets for a while,
// commonly up to a day.
func rollout(p cert.Purpose) time.Duration {
	switch p {
	case cert.SSHHost:
		return cert.MaxTTL
	case cert.JWT:
		return 24 * time.Hour
	}
	return time.Hour
}

// PhaseError says that a step does not follow from the phase that an authority is in.
type PhaseError struct {
	Purpose cert.Purpose
	Phase   Phase
	Step    string // in words
}

func (e *PhaseError) Error() string {
	return fmt.Sprintf("authority %s is in %s and cannot %s", e.Purpose, e.Phase, e.Step)
}

// String names a phase for people.
func (p Phase) String() string {
	if p == Settled {
		return "no rotation"
	}
	return fmt.Sprintf("phase %d", int(p))
}

// Step is what an administrator asks of a rotation.
type Step string

// The steps of a rotation.
const (
	StepAnnounce Step = "1"    // a new key is made and trusted; the old one signs
	StepSign     Step = "2"    // the new key signs; the old one is still trusted
	StepFinish   Step = "3"    // the old key is no longer trusted
	StepBack     Step = "back" // undoes 1 or 2
)

// Steps returns all steps, in order.
func Steps() []Step { return []Step{StepAnnounce, StepSign, StepFinish, StepBack} }

// Next is the step that leads on from where an authority stands.
func (a State) Next() Step {
	return map[Phase]Step{Settled: StepAnnounce, Announced: StepSign, Switched: StepFinish}[a.Phase()]
}

// took tells whether an earlier run has made this step.
func (a State) took(step Step) bool {
	newest := a.Keys[len(a.Keys)-1]
	switch step {
	case StepAnnounce:
		return a.Phase() == Announced
	case StepSign:
		return a.Phase() == Switched
	}
	// Which of the two ended the last rotation its new key tells: a rotation that
	// somebody called off was not finished.
	called := newest.Use == Retired
	return a.Phase() == Settled && len(a.Keys) > 1 && called == (step == StepBack)
}

// after is the state after a step, save for a new key, which is not made here.
func (a State) after(step Step, now time.Time) (State, error) {
	switch step {
	case StepAnnounce:
		return a, a.in(Settled, beginning)
	case StepSign:
		return a.Sign(now)
	case StepFinish:
		return a.Finish(now)
	case StepBack:
		return a.Back(now)
	}
	return a, fmt.Errorf("there is no phase %q", step)
}

// beginning is Begin in words.
const beginning = "begin a rotation"

// in checks that an authority is in the phase in which a step can be taken.
func (a State) in(phase Phase, step string) error {
	if a.Phase() != phase {
		return &PhaseError{a.Purpose, a.Phase(), step}
	}
	return nil
}

// Begin announces a new key, whose id and public half are given: settled → announced.
func (a State) Begin(id string, public crypto.PublicKey, now time.Time) (State, error) {
	if err := a.in(Settled, beginning); err != nil {
		return a, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return a, err
	}
	next := a.clone()
	next.Keys = append(next.Keys, Key{ID: id, Use: Trusted, Public: der, TrustedSince: now.UTC()})
	return next, next.Check()
}

// Sign has the new key sign: announced → switched.
func (a State) Sign(now time.Time) (State, error) {
	if err := a.in(Announced, "have a new key sign"); err != nil {
		return a, err
	}
	return a.exchange(now), nil
}

// Finish retires the old key: switched → settled.
func (a State) Finish(now time.Time) (State, error) {
	if err := a.in(Switched, "retire its old key"); err != nil {
		return a, err
	}
	return a.retire(now), nil
}

// Back undoes the last step: switched → announced, in which the new key stays
// trusted for what it has signed; announced → settled, which retires the new key.
func (a State) Back(now time.Time) (State, error) {
	switch a.Phase() {
	case Switched:
		return a.exchange(now), nil
	case Announced:
		return a.retire(now), nil
	}
	return a, &PhaseError{a.Purpose, a.Phase(), "go back"}
}

// SignFrom is when Sign is safe as far as time can tell: what is published has had
// time to reach those who trust it.
func (a State) SignFrom() time.Time {
	other, ok := a.Other()
	if !ok {
		return time.Time{}
	}
	return other.TrustedSince.Add(rollout(a.Purpose))
}

// RetireFrom is when the key that does not sign can go: all that it signed has
// ended, whatever its end. Zero if it never signed anything.
func (a State) RetireFrom() time.Time {
	other, ok := a.Other()
	if !ok || other.SignedUntil.IsZero() {
		return time.Time{}
	}
	return ceased(other).Add(life(a.Purpose))
}

// ceased is when the last signature by a key that ceased to sign can have been
// made: by a join under way, in a function that had not read of it yet.
func ceased(k Key) time.Time { return k.SignedUntil.Add(WriteTime + CacheFor + answerTime) }

// exchange lets the two keys in use change places.
func (a State) exchange(now time.Time) State {
	next := a.clone()
	for i := range next.Keys {
		switch k := &next.Keys[i]; k.Use {
		case Signs:
			k.Use, k.SignedUntil = Trusted, now.UTC()
		case Trusted:
			k.Use, k.SignedUntil = Signs, time.Time{}
		}
	}
	return next
}

// retire ends the trust in the key that does not sign.
func (a State) retire(now time.Time) State {
	next := a.clone()
	for i := range next.Keys {
		if k := &next.Keys[i]; k.Use == Trusted {
			k.Use, k.RetiredAt = Retired, now.UTC()
		}
	}
	return next
}

func (a State) clone() State {
	a.Keys = slices.Clone(a.Keys)
	return a
}
