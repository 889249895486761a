package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	selectRevocations = `SELECT id, body FROM revocations`
	insertRevocation  = `INSERT INTO revocations (id, ends, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`
	deleteRevocations = `DELETE FROM revocations WHERE ends < ?1`

	// revokeBatch is how many revocations one transaction stores, so that a join
	// never waits long for it.
	revokeBatch = 200
)

// Revocations implements store.RevocationReader.
func (s *Store) Revocations(ctx context.Context) ([]store.Revocation, error) {
	// A list that lacks what was revoked would make hosts take it again.
	if err := errors.Join(s.checkFiles(), s.CheckGeneration(ctx)); err != nil {
		return nil, s.fail(ctx, "reading the revocations", err)
	}
	rows, err := s.stmts.revocations.QueryContext(ctx)
	all, err := collect(rows, err, func(rows *sql.Rows) (store.Revocation, error) {
		var (
			id   string
			body sql.RawBytes
		)
		if err := rows.Scan(&id, &body); err != nil {
			return store.Revocation{}, err
		}
		return store.DecodeRevocation(id, body)
	})
	return all, s.fail(ctx, "reading the revocations", err)
}

// Revoke implements store.Revocations.
func (s *Store) Revoke(ctx context.Context, all []store.Revocation) (added int, err error) {
	for batch := range slices.Chunk(all, revokeBatch) {
		n, err := s.revoke(ctx, batch)
		if err != nil {
			return added, s.fail(ctx, "storing revocations", err)
		}
		added += n
	}
	return added, nil
}

// revoke stores a batch whole or not at all.
func (s *Store) revoke(ctx context.Context, batch []store.Revocation) (added int, err error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if err := s.checkGeneration(ctx, tx); err != nil {
		return 0, err
	}
	for _, r := range batch {
		body, err := store.EncodeRevocation(r)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", r.ID, err)
		}
		result, err := tx.ExecContext(ctx, insertRevocation, r.ID, store.Seconds(r.Ends()), body)
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		added += int(n)
	}
	return added, s.commitChange(ctx, tx)
}

// Forget implements store.Revocations.
func (s *Store) Forget(ctx context.Context, t time.Time) (int, error) {
	result, err := s.write.ExecContext(ctx, deleteRevocations, t.Unix())
	if err != nil {
		return 0, s.fail(ctx, "removing revocations", err)
	}
	n, err := result.RowsAffected()
	return int(n), s.fail(ctx, "removing revocations", err)
}
