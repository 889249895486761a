package rotation

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
)

const (
	// CacheFor is how long a function may go by what it has read of the keys.
	CacheFor = 60 * time.Second
	// WriteTime is how long a write may take, from the time that it says it was made at.
	WriteTime = 15 * time.Second
	// answerTime is how long a join that is under way may take.
	answerTime = 30 * time.Second
	// hostLife is how long a host certificate is valid unless its maker chose otherwise.
	hostLife = 90 * 24 * time.Hour
)

// Life is how long what an authority signs is valid at the most, as far as that is
// known: administrators may give host certificates more.
func Life(p cert.Purpose) time.Duration {
	if p == cert.SSHHost {
		return hostLife
	}
	return join.MaxTTL
}

// Rollout is the least time between telling of a new key and signing with it.
//
// Servers take what administrators bring them, which needs an hour if it is quick.
// Jobs know SSH hosts by what they were told when they joined, which may be as long
// ago as a credential lasts. Relying parties of JWTs keep key sets for a while,
// commonly up to a day.
func Rollout(p cert.Purpose) time.Duration {
	switch p {
	case cert.SSHHost:
		return join.MaxTTL
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

// Begin announces a new key, whose id and public half are given: settled → announced.
func (a Authority) Begin(id string, public crypto.PublicKey, now time.Time) (Authority, error) {
	if a.Phase() != Settled {
		return a, &PhaseError{a.Purpose, a.Phase(), "begin a rotation"}
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
func (a Authority) Sign(now time.Time) (Authority, error) {
	if a.Phase() != Announced {
		return a, &PhaseError{a.Purpose, a.Phase(), "have a new key sign"}
	}
	return a.exchange(now), nil
}

// Finish retires the old key: switched → settled.
func (a Authority) Finish(now time.Time) (Authority, error) {
	if a.Phase() != Switched {
		return a, &PhaseError{a.Purpose, a.Phase(), "retire its old key"}
	}
	return a.retire(now), nil
}

// Back undoes the last step: switched → announced, in which the new key stays
// trusted for what it has signed; announced → settled, which retires the new key.
func (a Authority) Back(now time.Time) (Authority, error) {
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
func (a Authority) SignFrom() time.Time {
	other, ok := a.Other()
	if !ok {
		return time.Time{}
	}
	return other.TrustedSince.Add(Rollout(a.Purpose))
}

// RetireFrom is when the key that does not sign can go: all that it signed has
// ended, whatever its end. Zero if it never signed anything.
func (a Authority) RetireFrom() time.Time {
	other, ok := a.Other()
	if !ok || other.SignedUntil.IsZero() {
		return time.Time{}
	}
	return Ceased(other).Add(Life(a.Purpose))
}

// Ceased is when the last signature by a key that ceased to sign can have been
// made: by a join under way, in a function that had not read of it yet.
func Ceased(k Key) time.Time { return k.SignedUntil.Add(WriteTime + CacheFor + answerTime) }

// exchange lets the two keys in use change places.
func (a Authority) exchange(now time.Time) Authority {
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
func (a Authority) retire(now time.Time) Authority {
	next := a.clone()
	for i := range next.Keys {
		if k := &next.Keys[i]; k.Use == Trusted {
			k.Use, k.RetiredAt = Retired, now.UTC()
		}
	}
	return next
}

func (a Authority) clone() Authority {
	a.Keys = slices.Clone(a.Keys)
	return a
}
