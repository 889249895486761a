package store

import (
	"errors"
	"time"
)

// Why a fetched key set is not stored.
var (
	// ErrPinned says that the key set was imported by hand and is not fetched over.
	ErrPinned = errors.New("key set is pinned")
	// ErrFetchedLater says that a set is stored whose fetch began later.
	ErrFetchedLater = errors.New("a key set that was fetched later is stored")
)

// KeySet is an issuer's public keys as stored.
type KeySet struct {
	Issuer string
	// JWKS is the key set (RFC 7517 §5), checked and with only the keys that may
	// verify ID tokens. Empty if no fetch ever succeeded.
	JWKS []byte
	// FetchedAt is when JWKS was fetched or imported.
	FetchedAt time.Time
	// Pinned key sets were imported by hand: never fetched over, never stale.
	Pinned bool
	// TriedAt and Failure tell of the last fetch; Failure is empty if it succeeded.
	TriedAt time.Time
	Failure string
}

// MaxKeySetAge is how long a fetched key set may be used after the issuer was
// last heard from. Past it joins are refused: an issuer that withdrew a key
// which leaked cannot be told from one that is down.
const MaxKeySetAge = 24 * time.Hour

// Stale reports whether ks may no longer verify ID tokens at now: it holds no
// keys, or was fetched more than MaxKeySetAge ago. A pinned set never ages. A
// set from ahead of now, by more than MaxClockSkew, comes from a clock that was wrong
// and counts as stale too: how old it is nobody knows.
func (ks KeySet) Stale(now time.Time) bool {
	if len(ks.JWKS) == 0 {
		return true
	}
	age := now.Sub(ks.FetchedAt)
	return !ks.Pinned && (age > MaxKeySetAge || age < -MaxClockSkew)
}
