package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	selectUses        = `SELECT digest, not_after FROM uses WHERE id_token = ?1`
	selectUseNotAfter = `SELECT not_after FROM uses WHERE id_token = ?1 AND digest = ?2`

	// One statement is one transaction, so nobody comes between the count and the
	// insertion. It changes nothing if the digest is there or no use is left.
	insertUse = `INSERT INTO uses (id_token, digest, not_after, keep_until)
		SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM uses WHERE id_token = ?1) < ?5
		ON CONFLICT DO NOTHING`

	upsertLease = `INSERT INTO leases (name, until) VALUES (?1, ?3)
		ON CONFLICT DO UPDATE SET until = ?3 WHERE until <= ?2`
)

// Uses implements store.Ledger.
func (s *Store) Uses(ctx context.Context, idToken string) (map[string]time.Time, error) {
	uses := make(map[string]time.Time)
	rows, err := s.stmts.uses.QueryContext(ctx, idToken)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var (
			digest   string
			notAfter int64
		)
		err := rows.Scan(&digest, &notAfter)
		uses[digest] = store.FromSeconds(notAfter)
		return struct{}{}, err
	})
	if err != nil {
		return nil, s.fail(ctx, "reading the uses of the ID token "+idToken, err)
	}
	return uses, nil
}

// Use implements store.Ledger.
func (s *Store) Use(ctx context.Context, u store.Use) (time.Time, error) {
	notAfter := store.Seconds(u.NotAfter)
	added, err := changed(ctx, s.stmts.use, u.IDToken, u.Digest, notAfter, store.Seconds(u.KeepUntil), u.MaxJoins)
	if err == nil && !added {
		// A retry, or no use was left. If none was, then none is now: uses are
		// only deleted once the ID token itself is no longer accepted.
		err = s.stmts.useNotAfter.QueryRowContext(ctx, u.IDToken, u.Digest).Scan(&notAfter)
		if errors.Is(err, sql.ErrNoRows) {
			return time.Time{}, fmt.Errorf("ID token %s: %w", u.IDToken, store.ErrUsed)
		}
	}
	if err != nil {
		return time.Time{}, s.fail(ctx, "storing a use of the ID token "+u.IDToken, err)
	}
	return store.FromSeconds(notAfter), nil
}

// Lease implements store.Ledger.
func (s *Store) Lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	from, err := store.Nanoseconds(now)
	if err != nil {
		return false, fmt.Errorf("taking the lease %s: %w", name, err)
	}
	to, err := store.Nanoseconds(until)
	if err != nil {
		return false, fmt.Errorf("taking the lease %s: %w", name, err)
	}
	got, err := changed(ctx, s.stmts.lease, name, from, to)
	return got, s.fail(ctx, "taking the lease "+name, err)
}
