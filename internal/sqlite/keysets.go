package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	keySetColumns = `issuer, jwks, fetched_at, pinned, tried_at, failure`

	selectKeySet  = `SELECT ` + keySetColumns + ` FROM key_sets WHERE issuer = ?1`
	selectKeySets = `SELECT ` + keySetColumns + ` FROM key_sets ORDER BY issuer`

	selectKeySetState = `SELECT pinned, coalesce(fetched_at > ?2 AND fetched_at <= ?3, FALSE) FROM key_sets WHERE issuer = ?1`
	upsertKeySet      = `INSERT INTO key_sets (` + keySetColumns + `) VALUES (?1, ?2, ?3, ?4, ?5, '')
		ON CONFLICT DO UPDATE SET jwks = ?2, fetched_at = ?3, pinned = ?4, tried_at = ?5, failure = ''`
	// The failure of a fetch that began before the last one noted tells nothing.
	upsertKeySetFailure = `INSERT INTO key_sets (issuer, tried_at, failure) VALUES (?1, ?2, ?3)
		ON CONFLICT DO UPDATE SET tried_at = ?2, failure = ?3 WHERE tried_at IS NULL OR tried_at <= ?2 OR tried_at > ?4`
	updateUnpin = `UPDATE key_sets SET pinned = 0 WHERE issuer = ?1`
)

// KeySet implements store.KeySetReader.
func (s *Store) KeySet(ctx context.Context, issuer string) (store.KeySet, error) {
	rows, err := queryShort(ctx, s.stmts.keySet, issuer)
	sets, err := collect(rows, err, scanKeySet)
	if err != nil {
		return store.KeySet{}, s.fail(ctx, fmt.Sprintf("reading the key set of %s", issuer), err)
	}
	if len(sets) == 0 {
		return store.KeySet{}, fmt.Errorf("key set of %s: %w", issuer, store.ErrNotFound)
	}
	return sets[0], nil
}

// KeySets implements store.KeySets.
func (s *Store) KeySets(ctx context.Context) ([]store.KeySet, error) {
	rows, err := s.stmts.keySets.QueryContext(ctx)
	sets, err := collect(rows, err, scanKeySet)
	return sets, s.fail(ctx, "reading the key sets", err)
}

func scanKeySet(rows *sql.Rows) (store.KeySet, error) {
	var (
		ks             store.KeySet
		fetched, tried sql.Null[int64]
	)
	err := rows.Scan(&ks.Issuer, &ks.JWKS, &fetched, &ks.Pinned, &tried, &ks.Failure)
	ks.FetchedAt, ks.TriedAt = fromInstant(fetched), fromInstant(tried)
	return ks, err
}

// PutKeySet implements store.KeySets.
func (s *Store) PutKeySet(ctx context.Context, ks store.KeySet) error {
	err := s.putKeySet(ctx, ks)
	if errors.Is(err, store.ErrPinned) || errors.Is(err, store.ErrFetchedLater) {
		return fmt.Errorf("key set of %s: %w", ks.Issuer, err)
	}
	return s.fail(ctx, fmt.Sprintf("storing the key set of %s", ks.Issuer), err)
}

func (s *Store) putKeySet(ctx context.Context, ks store.KeySet) error {
	fetched, err := toInstant(ks.FetchedAt)
	if err != nil {
		return err
	}
	tried, err := toInstant(ks.TriedAt)
	if err != nil {
		return err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var pinned, later bool
	err = tx.QueryRowContext(ctx, selectKeySetState, ks.Issuer, fetched, believedUntil(fetched)).Scan(&pinned, &later)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	case ks.Pinned: // replaces whatever there is
	case pinned:
		return store.ErrPinned
	case later:
		return store.ErrFetchedLater
	}
	if ks.Pinned {
		if err := s.checkGeneration(ctx, tx); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, upsertKeySet, ks.Issuer, ks.JWKS, fetched, ks.Pinned, tried); err != nil {
		return err
	}
	if ks.Pinned {
		return s.commitChange(ctx, tx)
	}
	return cmp.Or(tx.Commit(), s.checkFiles())
}

// KeySetFailed implements store.KeySets.
func (s *Store) KeySetFailed(ctx context.Context, issuer string, at time.Time, failure string) error {
	tried, err := toInstant(at)
	if err == nil {
		_, err = s.changed(ctx, s.stmts.keySetFailed, issuer, tried, failure, believedUntil(tried))
	}
	return s.fail(ctx, fmt.Sprintf("noting a failed fetch of the key set of %s", issuer), err)
}

// Unpin implements store.KeySets.
func (s *Store) Unpin(ctx context.Context, issuer string) error {
	found, err := s.unpin(ctx, issuer)
	if err == nil && !found {
		return fmt.Errorf("key set of %s: %w", issuer, store.ErrNotFound)
	}
	return s.fail(ctx, fmt.Sprintf("unpinning the key set of %s", issuer), err)
}

func (s *Store) unpin(ctx context.Context, issuer string) (found bool, err error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	if err := s.checkGeneration(ctx, tx); err != nil {
		return false, err
	}
	if found, err = affected(tx.ExecContext(ctx, updateUnpin, issuer)); err != nil {
		return false, err
	}
	return found, s.commitChange(ctx, tx)
}
