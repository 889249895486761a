package sqlite

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// purgeBatch is how many rows one transaction of Purge deletes, so that a join
// never waits long for it.
const purgeBatch = 200

// leaseGrace is how long a lease that has ended is kept, for processes whose clock lags.
const leaseGrace = 24 * time.Hour

const selectNewestIssued = `SELECT max(issued_at) FROM uses`

// recordGrace is how long a record is kept for a clock that may be wrong. Refusals are
// recorded where nobody joins too, and would else be kept for good.
const recordGrace = 30 * 24 * time.Hour

// Purge deletes the uses, records and revocations that need not be kept at now any longer,
// and returns how many rows it deleted. It can be run at any time and by several processes.
//
// now alone deletes nothing that must be remembered, since its clock may be wrong for a while:
// an ID token whose use was forgotten would join again. What is deleted ended before
// the newest ID token that joined was issued, as that token's issuer has signed; a record
// also if it ended long ago by now.
func (s *Store) Purge(ctx context.Context, now time.Time) (int64, error) {
	ended, err := store.Nanoseconds(now.Add(-leaseGrace))
	if err != nil {
		return 0, s.fail(ctx, "purging", err)
	}
	var newest sql.Null[int64] // the use that it is of is kept: it ends later than it was issued
	if err := s.read.QueryRowContext(ctx, selectNewestIssued).Scan(&newest); err != nil {
		return 0, s.fail(ctx, "purging", err)
	}
	past := int64(math.MinInt64 / 2) // nobody ever joined
	if newest.Valid {
		past = min(newest.V, now.Unix())
	}
	var total int64
	for _, p := range []struct {
		sql    string
		before int64
	}{
		{`DELETE FROM uses WHERE (id_token, digest) IN
			(SELECT id_token, digest FROM uses WHERE keep_until < ?1 LIMIT ?2)`, past},
		{`DELETE FROM records WHERE rowid IN
			(SELECT rowid FROM records WHERE keep_until < ?1 LIMIT ?2)`, max(past, now.Add(-recordGrace).Unix())},
		{`DELETE FROM revocations WHERE id IN
			(SELECT id FROM revocations WHERE ends < ?1 LIMIT ?2)`, past - int64(authority.KeepRevoked/time.Second)},
		{`DELETE FROM leases WHERE name IN
			(SELECT name FROM leases WHERE until < ?1 LIMIT ?2)`, ended},
	} {
		n, err := s.purge(ctx, p.sql, p.before)
		total += n
		if err != nil {
			return total, s.fail(ctx, "purging", err)
		}
	}
	return total, nil
}

// purge deletes in batches until one is not full.
func (s *Store) purge(ctx context.Context, sql string, before int64) (total int64, err error) {
	for {
		result, err := s.write.ExecContext(ctx, sql, before, purgeBatch)
		if err != nil {
			return total, err
		}
		n, err := result.RowsAffected()
		total += n
		if err != nil || n < purgeBatch {
			return total, err
		}
	}
}
