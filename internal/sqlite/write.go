package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	insertResource = `INSERT INTO resources (kind, name, revision, updated_at, issuer, body, edited)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING`
	updateResource = `UPDATE resources SET revision = ?3, updated_at = ?4, issuer = ?5, body = ?6, edited = ?7
		WHERE kind = ?1 AND name = ?2 AND revision = ?8`
	deleteResource = `DELETE FROM resources WHERE kind = ?1 AND name = ?2 AND revision = ?3`
)

// Write implements store.Resources.
func (s *Store) Write(ctx context.Context, changes []store.Change) error {
	prepared, err := prepareChanges(changes)
	if err != nil {
		return fmt.Errorf("writing resources: %w", err)
	}
	err = s.apply(ctx, prepared)
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		return conflict
	}
	return s.fail(ctx, "writing resources", err)
}

// apply makes all changes in one transaction, or none.
func (s *Store) apply(ctx context.Context, changes []change) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := s.checkGeneration(ctx, tx); err != nil {
		return err
	}
	for _, c := range changes {
		result, err := tx.ExecContext(ctx, c.sql, c.args...)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Key, err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return &store.ConflictError{Kind: c.Kind, Name: c.Name}
		}
	}
	return s.commitChange(ctx, tx)
}

// commitChange makes a change of an administrator durable, and marked beside the keys.
func (s *Store) commitChange(ctx context.Context, tx *sql.Tx) error {
	if err := tx.Commit(); err != nil {
		return err
	}
	if err := s.checkFiles(); err != nil {
		return err
	}
	return s.catchUp(ctx)
}

// change is a statement that affects one row if the row is as expected, else none.
type change struct {
	store.Key
	sql  string
	args []any
}

// prepareChanges makes statements of changes before the database is locked.
func prepareChanges(changes []store.Change) ([]change, error) {
	encoded, err := store.EncodeChanges(changes)
	if err != nil {
		return nil, err
	}
	prepared := make([]change, len(encoded))
	for i, e := range encoded {
		if prepared[i], err = prepareChange(e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key(), err)
		}
	}
	return prepared, nil
}

func prepareChange(e store.EncodedChange) (change, error) {
	if e.Resource == nil {
		return change{e.Key(), deleteResource, []any{e.Kind, e.Name, e.Revision}}, nil
	}
	at, err := store.Nanoseconds(e.At)
	if err != nil {
		return change{}, err
	}
	issuer := sql.NullString{String: e.Issuer, Valid: e.Issuer != ""}
	args := []any{e.Kind, e.Name, rand.Text(), at, issuer, e.Body, e.Edited}
	if e.Revision == "" {
		return change{e.Key(), insertResource, args}, nil
	}
	return change{e.Key(), updateResource, append(args, e.Revision)}, nil
}
