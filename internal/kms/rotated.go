package kms

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
)

// wanted is a key that an authority has at present.
type wanted struct {
	slot
	stored      *authority.Key // what is stored of it; nil if the authority was never rotated
	certificate string         // what its certificate is stored under
	signs       bool
}

// current returns the authorities that were rotated, as they were no longer than
// CacheFor ago.
func (a *Authorities) current(ctx context.Context) (map[cert.Purpose]authority.State, error) {
	if a.c.Rotated == nil {
		return nil, nil
	}
	a.await(ctx, rotatedPart)
	return a.recent(ctx)
}

// recent is current without waiting for what begin reads.
func (a *Authorities) recent(ctx context.Context) (map[cert.Purpose]authority.State, error) {
	if a.c.Rotated == nil {
		return nil, nil
	}
	// The wall clock: Lambda freezes a function between events, and the monotonic
	// clock may stand still meanwhile.
	now := a.c.Now().Round(0)
	a.mu.Lock()
	known, age := a.rotated, now.Sub(a.readAt)
	a.mu.Unlock()
	if known != nil && age >= 0 && age < a.c.CacheFor {
		return known, nil
	}
	all, err := a.c.Rotated.RotatedAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	rotated := make(map[cert.Purpose]authority.State, len(all))
	for _, one := range all {
		rotated[one.Purpose] = one.State
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.readAt.Before(now) || age < 0 { // not if a later call was faster
		a.rotated, a.readAt = rotated, now
	}
	return rotated, nil
}

// keys are those that an authority has now, the one that signs first. The key that
// the deployment names must be known to a rotated authority: whoever deploys
// another one must not find that nothing came of it.
func (a *Authorities) keys(p cert.Purpose, rotated map[cert.Purpose]authority.State) ([]wanted, error) {
	first := a.c.Keys[p]
	r, ok := rotated[p]
	if !ok {
		if err := a.checkOwn(p, first, rotated); err != nil {
			return nil, err
		}
		return []wanted{{slot: slot{p, first}, signs: true}}, nil
	}
	if !slices.ContainsFunc(r.Keys, func(k authority.Key) bool { return keyID(k.ID) == keyID(first) }) {
		return nil, fmt.Errorf("it was rotated, and its keys are stored in the table Resources; the deployment names another KMS key, %s: deploy it with one of those again; see docs/rotation.md", first)
	}
	var all []wanted
	for _, k := range r.InUse() {
		if err := a.checkOwn(p, k.ID, rotated); err != nil {
			return nil, err
		}
		w := wanted{slot: slot{p, k.ID}, stored: &k, signs: k.Use == authority.Signs}
		if k.ID != r.Keys[0].ID {
			w.certificate = keyID(k.ID)
		}
		all = append(all, w)
	}
	return all, nil
}

// checkOwn refuses a key that another authority has, or had: a server that trusts the
// one would trust what the other signs.
func (a *Authorities) checkOwn(p cert.Purpose, key string, rotated map[cert.Purpose]authority.State) error {
	for _, q := range cert.Purposes() {
		others := []string{a.c.Keys[q]}
		for _, k := range rotated[q].Keys {
			others = append(others, k.ID)
		}
		if q != p && slices.ContainsFunc(others, func(other string) bool { return keyID(other) == keyID(key) }) {
			return fmt.Errorf("KMS key %s is a key of the authority %s too; one key is of one authority: deploy it with another", key, q)
		}
	}
	return nil
}

// leaveOut notes that a key cannot be read, if it can be done without.
func (a *Authorities) leaveOut(k wanted, cause error) bool {
	if k.signs || a.c.LeaveOut == nil || !unreadable(cause) {
		return false
	}
	a.c.LeaveOut(k.purpose, k.key, cause)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leftOut[k.slot] = a.c.Now().Round(0)
	return true
}

// isLeftOut tells whether a key was found to be unreadable not long ago.
func (a *Authorities) isLeftOut(k wanted) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	age := a.c.Now().Round(0).Sub(a.leftOut[k.slot])
	return !k.signs && age >= 0 && age < a.c.CacheFor
}

// unreadable tells whether KMS has answered that we cannot have a key.
func unreadable(err error) bool {
	return slices.Contains([]string{"AccessDeniedException", "NotFoundException", "DisabledException", "KMSInvalidStateException"}, errorCode(err))
}

// keyID is the id of a KMS key, which its ARN ends in.
func keyID(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
