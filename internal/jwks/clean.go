package jwks

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what is read from an issuer. With maxKeys keys of 8192 bits a
// cleaned set stays well below the 400 KB that a DynamoDB item may have.
const (
	maxBytes = 1 << 20
	maxKeys  = 100
)

// Dropped is a key that was left out of a key set.
type Dropped struct {
	Index  int    // place in the set as published, from 0
	KID    string // shortened and printable; empty if it has none
	Reason string
}

func (d Dropped) String() string { return fmt.Sprintf("key %d (kid %q): %s", d.Index, d.KID, d.Reason) }

// Clean reads a JWK Set (RFC 7517 §5) and returns it with only the keys that
// may verify ID tokens: RSA of 2048 to 8192 bits for RS256 and P-256 for ES256,
// meant for signatures, each with a kid. The others come back in dropped, each
// with its reason. A key without alg gets the one of its type. The result is
// the same for the same keys however they were published: compact JSON, sorted by
// kid, of each key only kty, n, e or crv, x, y, and kid, alg, use.
//
// It is an error if jwks is larger than 1 MiB, is not strict JSON (a member
// twice is refused), has over 100 keys, holds a private or symmetric key, has the
// same kid and alg twice, or has no key that may be used; dropped then says why not.
func Clean(jwks []byte) (cleaned []byte, dropped []Dropped, err error) {
	if len(jwks) > maxBytes {
		return nil, nil, fmt.Errorf("key set is larger than %d bytes", maxBytes)
	}
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, nil, fmt.Errorf("key set cannot be read as JSON: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, errors.New(`key set has no member "keys"; it must be a JWK Set (RFC 7517 §5)`)
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("key set has %d keys; at most %d are read", len(set.Keys), maxKeys)
	}
	kept, dropped, err := sift(set.Keys)
	if err != nil {
		return nil, dropped, err
	}
	if len(kept) == 0 {
		return nil, dropped, noUsableKey(dropped)
	}
	slices.SortFunc(kept, func(a, b jwk) int {
		return cmp.Or(cmp.Compare(a.KID, b.KID), cmp.Compare(a.Alg, b.Alg))
	})
	cleaned, err = json.Marshal(struct {
		Keys []jwk `json:"keys"`
	}{kept})
	if err != nil {
		return nil, dropped, fmt.Errorf("encoding key set: %w", err)
	}
	return cleaned, dropped, nil
}

// sift parts the keys to keep from those to drop.
func sift(keys []jsontext.Value) (kept []jwk, dropped []Dropped, err error) {
	type name struct{ kid, alg string }
	seen := map[name]bool{}
	for i, raw := range keys {
		k, err := parseKey(raw)
		if errors.Is(err, errSecret) {
			return nil, dropped, fmt.Errorf("key %d of the set: %w", i, err)
		}
		if err != nil {
			dropped = append(dropped, Dropped{Index: i, KID: oneLine(k.KID, 64), Reason: err.Error()})
			continue
		}
		n := name{k.KID, k.Alg}
		if seen[n] {
			// Which of the two is meant would be a guess (RFC 7517 §4.5).
			return nil, dropped, fmt.Errorf("key set has two %s keys with kid %s; the issuer must give each its own", k.Alg, quote(k.KID))
		}
		seen[n] = true
		kept = append(kept, k)
	}
	return kept, dropped, nil
}

// noUsableKey is the error for a set that nothing is left of.
func noUsableKey(dropped []Dropped) error {
	if len(dropped) == 0 {
		return errors.New("key set is empty")
	}
	return fmt.Errorf("key set has no key that may verify ID tokens (RSA of 2048 to 8192 bits or P-256); %v", dropped[0])
}

// Count returns how many keys a cleaned set has; none if it cannot be read.
func Count(cleaned []byte) int { return len(keysOf(cleaned)) }
