package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// Use is what a key is for at present.
type Use string

// Uses.
const (
	Signs   Use = "signs"   // signs, and is trusted
	Trusted Use = "trusted" // is trusted, and does not sign
	Retired Use = "retired" // is past: never again trusted by what is published
)

// Phase is how far a rotation has come.
type Phase int

// Phases.
const (
	Settled   Phase = 0 // one key, which signs: no rotation is under way
	Announced Phase = 1 // the new key is trusted, the old one signs
	Switched  Phase = 2 // the new key signs, the old one is still trusted
)

// Key is one key of an authority.
type Key struct {
	// ID is the key's name where the deployment keeps keys: a KMS key's ARN, or a
	// key file's name without its ending.
	ID  string `json:"id"`
	Use Use    `json:"use"`
	// Public is its public half (PKIX, DER). A key that is found under the ID and has
	// another is not the one that was made: nothing is signed then.
	Public []byte `json:"public_key"`
	// TrustedSince is when it was announced; zero for the one that was there first.
	TrustedSince time.Time `json:"trusted_since,omitzero"`
	// SignedUntil is when it ceased to sign; zero if it signs or never did.
	SignedUntil time.Time `json:"signed_until,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"`
}

// Is tells whether public is the key's public half.
func (k Key) Is(public crypto.PublicKey) bool {
	der, err := x509.MarshalPKIXPublicKey(public)
	return err == nil && bytes.Equal(der, k.Public)
}

// PublicKey is the public half, ECDSA P-256.
func (k Key) PublicKey() (*ecdsa.PublicKey, error) {
	public, err := cert.ParseAuthorityKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("the public half of %s: %w", k.ID, err)
	}
	return public, nil
}

// Name is what tells the key from another where it is used: the fingerprint that
// ssh-keygen -l shows, the name in an authority's certificate that openssl shows, or
// the kid in a JWK set.
func (k Key) Name(p cert.Purpose) (string, error) {
	public, err := k.PublicKey()
	switch {
	case err != nil:
		return "", err
	case p.IsX509():
		name, err := cert.AuthorityName(p, public)
		return "CN=" + name, err
	case p == cert.JWT:
		id, err := cert.KeyID(public)
		return "kid " + id, err
	}
	return cert.SSHFingerprint(public)
}

// State is the keys of one authority, and what each is for. It is a value: the
// methods that change one return another.
type State struct {
	Purpose cert.Purpose `json:"type"`
	// Keys are in the order in which they were made, the retired ones included: so
	// the one that the deployment began with is known, wherever it is still named.
	Keys []Key `json:"keys"`
}

// Stored is a State as a store has it.
type Stored struct {
	State
	Revision  string // changes with every write; empty if it is not stored
	UpdatedAt time.Time
}

// Reader reads the authorities that were ever rotated, consistently. One that is
// stored but not valid is an error that names it, never passed over.
type Reader interface {
	RotatedAuthorities(ctx context.Context) ([]Stored, error)
}

// Store keeps the authorities that were ever rotated.
type Store interface {
	Reader
	// PutRotatedAuthority stores a in place of the one of this revision, which is
	// empty if none must exist, in one conditional write. A *store.ConflictError says
	// that it is no longer as it was.
	PutRotatedAuthority(ctx context.Context, a State, revision string, at time.Time) error
}

// First is the state of an authority that was never rotated.
func First(p cert.Purpose, id string, public crypto.PublicKey) (State, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return State{}, err
	}
	a := State{Purpose: p, Keys: []Key{{ID: id, Use: Signs, Public: der}}}
	return a, a.Check()
}

// ParseState reads what Encode wrote, for the purpose that it is stored under.
func ParseState(p cert.Purpose, text []byte) (State, error) {
	var a State
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return State{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return State{}, errors.New("there is more after it")
	}
	if a.Purpose != p {
		return State{}, fmt.Errorf("it holds the authority %q", a.Purpose)
	}
	return a, a.Check()
}

// Encode writes a state as JSON.
func (a State) Encode() ([]byte, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

// Check tells what is wrong with a state: an authority has one key that signs and at
// most one other that is trusted, all of them ECDSA P-256 and different.
func (a State) Check() error {
	if !slices.Contains(cert.Purposes(), a.Purpose) {
		return fmt.Errorf("there is no authority %q", a.Purpose)
	}
	count := map[Use]int{}
	ids, publics := map[string]bool{}, map[string]bool{}
	for _, k := range a.Keys {
		count[k.Use]++
		if k.ID == "" || ids[k.ID] || publics[string(k.Public)] {
			return fmt.Errorf("its key %q has no name or is there twice", k.ID)
		}
		ids[k.ID], publics[string(k.Public)] = true, true
		if _, err := k.PublicKey(); err != nil {
			return err
		}
	}
	if count[Signs] != 1 || count[Trusted] > 1 || count[Signs]+count[Trusted]+count[Retired] != len(a.Keys) {
		return fmt.Errorf("of its %d keys %d sign and %d are trusted besides: one signs, and at most one other is trusted", len(a.Keys), count[Signs], count[Trusted])
	}
	return nil
}

// InUse are the keys that servers shall trust: the one that signs, then the other.
func (a State) InUse() []Key {
	var used []Key
	for _, use := range []Use{Signs, Trusted} {
		for _, k := range a.Keys {
			if k.Use == use {
				used = append(used, k)
			}
		}
	}
	return used
}

// Signing is the key that signs.
func (a State) Signing() Key { return a.InUse()[0] }

// Other is the key that is trusted and does not sign; false if there is none.
func (a State) Other() (Key, bool) {
	used := a.InUse()
	if len(used) < 2 {
		return Key{}, false
	}
	return used[1], true
}

// Has tells whether the authority has, or had, a key of this name.
func (a State) Has(id string) bool {
	return slices.ContainsFunc(a.Keys, func(k Key) bool { return k.ID == id })
}

// Phase is how far its rotation has come.
func (a State) Phase() Phase {
	for i := len(a.Keys) - 1; i >= 0; i-- {
		switch _, two := a.Other(); {
		case !two:
			return Settled
		case a.Keys[i].Use == Trusted: // the newer one of the two
			return Announced
		case a.Keys[i].Use == Signs:
			return Switched
		}
	}
	return Settled
}
