package sqlite

import (
	"context"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// purgeBatch is how many rows one transaction of Purge deletes, so that a join
// never waits long for it.
const purgeBatch = 200

// leaseGrace is how long a lease that has ended is kept, for processes whose clock lags.
const leaseGrace = 24 * time.Hour

// Purge deletes the uses, records and revocations that need not be kept at now any longer,
// and returns how many rows it deleted. It can be run at any time and by several processes.
func (s *Store) Purge(ctx context.Context, now time.Time) (int64, error) {
	ended, err := store.Nanoseconds(now.Add(-leaseGrace))
	if err != nil {
		return 0, s.fail(ctx, "purging", err)
	}
	var total int64
	for _, p := range []struct {
		sql    string
		before int64
	}{
		{`DELETE FROM uses WHERE (id_token, digest) IN
			(SELECT id_token, digest FROM uses WHERE keep_until < ?1 LIMIT ?2)`, now.Unix()},
		{`DELETE FROM records WHERE rowid IN
			(SELECT rowid FROM records WHERE keep_until < ?1 LIMIT ?2)`, now.Unix()},
		{`DELETE FROM revocations WHERE id IN
			(SELECT id FROM revocations WHERE ends < ?1 LIMIT ?2)`, now.Add(-authority.KeepRevoked).Unix()},
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
