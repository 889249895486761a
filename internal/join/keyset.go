package join

import "time"

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
