package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	selectRotated   = `SELECT name, revision, updated_at, body FROM resources WHERE kind = 'authority' ORDER BY name`
	insertAuthority = `INSERT INTO resources (kind, name, revision, updated_at, body) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING`
	updateAuthority = `UPDATE resources SET revision = ?3, updated_at = ?4, body = ?5 WHERE kind = ?1 AND name = ?2 AND revision = ?6`
)

// RotatedAuthorities implements authority.Reader.
func (s *Store) RotatedAuthorities(ctx context.Context) ([]authority.Stored, error) {
	const doing = "reading the keys of authorities"
	changes, err := s.changes.count(ctx)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	if known := s.authorities.get(store.KindAuthority); known.changes == changes {
		return slices.Clone(known.value), nil
	}
	size := 0
	rows, err := queryShort(ctx, s.stmts.rotated)
	all, err := collect(rows, err, func(rows *sql.Rows) (authority.Stored, error) {
		var (
			name    string
			found   authority.Stored
			updated int64
			body    sql.RawBytes // valid until the next row, and then decoded
		)
		if err := rows.Scan(&name, &found.Revision, &updated, &body); err != nil {
			return authority.Stored{}, err
		}
		size += len(body)
		found.UpdatedAt = store.FromNanoseconds(updated)
		var err error
		if found.State, err = authority.ParseState(cert.Purpose(name), body); err != nil {
			return authority.Stored{}, fmt.Errorf("the keys of authority %s are stored but not valid: restore the database from a backup: %w", name, err)
		}
		return found, nil
	})
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	s.authorities.put(store.KindAuthority, remembered[[]authority.Stored]{slices.Clone(all), changes, size})
	return all, nil
}

// PutRotatedAuthority stores a in place of the one of this revision; see authority.Store.
func (s *Store) PutRotatedAuthority(ctx context.Context, a authority.State, revision string, at time.Time) error {
	doing := fmt.Sprintf("writing the keys of authority %s", a.Purpose)
	body, err := a.Encode()
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	updated, err := store.Nanoseconds(at)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	statement, args := insertAuthority, []any{store.KindAuthority, a.Purpose, rand.Text(), updated, body}
	if revision != "" {
		statement, args = updateAuthority, append(args, revision)
	}
	if err := s.putRotated(ctx, a.Purpose, statement, args); err != nil {
		if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
			return conflict
		}
		return s.fail(ctx, doing, err)
	}
	return nil
}

func (s *Store) putRotated(ctx context.Context, p cert.Purpose, statement string, args []any) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.checkGeneration(ctx, tx); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return cmp.Or(err, error(&store.ConflictError{Kind: store.KindAuthority, Name: string(p)}))
	}
	return s.commitChange(ctx, tx)
}
