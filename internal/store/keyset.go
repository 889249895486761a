package store

import (
	"errors"
	"time"
)

// ErrPinned says that a key set was imported by hand and is not fetched over.
var ErrPinned = errors.New("key set is pinned")

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
// set from as far in the future comes from a broken clock and counts as stale
// too, or it would stay fresh for good.
func (ks KeySet) Stale(now time.Time) bool {
	if len(ks.JWKS) == 0 {
		return true
	}
	return !ks.Pinned && now.Sub(ks.FetchedAt).Abs() > MaxKeySetAge
}
