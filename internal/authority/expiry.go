package authority

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// maxRead is how many records are read to learn when the last credential ends. Where
// there are more the longest that one can be valid is gone by.
const maxRead = 20000

// From is when the step that follows on an authority's phase cuts nobody off any
// more, as far as is known.
func (r *Rotator) From(ctx context.Context, a State) (time.Time, error) {
	from, _, err := r.earliest(ctx, a.Next(), a, r.Now())
	return from, err
}

// earliest is From for a step, and says why it is not earlier.
func (r *Rotator) earliest(ctx context.Context, step Step, a State, now time.Time) (time.Time, string, error) {
	if step == StepSign {
		from := a.SignFrom()
		return from, fmt.Sprintf("the new key is trusted since %s, and who relies on it has until %s to learn of it",
			clock(now, from.Add(-rollout(a.Purpose))), clock(now, from)), nil
	}
	from := a.RetireFrom()
	why := fmt.Sprintf("what the old key signed can be valid until %s", clock(now, from))
	if a.Purpose == cert.SSHHost {
		return from, why + ", and host certificates longer if host sign had a --ttl", nil
	}
	if !now.Before(from) {
		return from, why, nil
	}
	last, known, err := r.lastOf(ctx, a, now)
	if err == nil && known {
		from, why = last, fmt.Sprintf("the last credential that the old key signed ends at %s", clock(now, last))
	}
	return from, why, err
}

// lastOf is when the last credential ends that records tell of and that the key that
// is to go signed; false if there are too many to read.
func (r *Rotator) lastOf(ctx context.Context, a State, now time.Time) (time.Time, bool, error) {
	other, ok := a.Other()
	if !ok || other.SignedUntil.IsZero() {
		return time.Time{}, true, nil
	}
	// What was granted earlier has ended; what was granted later the other key signed.
	q := store.Query{Since: now.Add(-cert.MaxTTL), Until: ceased(other), Code: store.CodeOK, Limit: maxRead}
	last, n := q.Until, 0 // joins that are under way are not recorded yet
	for record, err := range r.Store.Joins(ctx, q) {
		if _, damaged := errors.AsType[*store.DamagedError](err); damaged {
			return time.Time{}, false, nil
		}
		if err != nil {
			return time.Time{}, false, fmt.Errorf("reading the joins since %s: %w", clock(now, q.Since), err)
		}
		n++
		for _, c := range record.Credentials {
			if SignerOf(c.Type, c.Usage) == a.Purpose && c.ExpiresAt.After(last) {
				last = c.ExpiresAt
			}
		}
	}
	return last, n < maxRead, nil
}
