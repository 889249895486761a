package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	insertResource = `INSERT INTO resources (kind, name, revision, updated_at, issuer, body, edited)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING`
	updateResource = `UPDATE resources SET revision = ?3, updated_at = ?4, issuer = ?5, body = ?6, edited = ?7
		WHERE kind = ?1 AND name = ?2 AND revision = ?8`
	deleteResource = `DELETE FROM resources WHERE kind = ?1 AND name = ?2 AND revision = ?3`
)

// Write implements admin.Resources.
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
	for _, c := range changes {
		result, err := tx.ExecContext(ctx, c.sql, c.args...)
		if err != nil {
			return fmt.Errorf("%s/%s: %w", c.kind, c.name, err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return &store.ConflictError{Kind: c.kind, Name: c.name}
		}
	}
	return tx.Commit()
}

// change is a statement that affects one row if the row is as expected, else none.
type change struct {
	resourceKey
	sql  string
	args []any
}

// prepareChanges checks and encodes changes before the database is locked.
func prepareChanges(changes []store.Change) ([]change, error) {
	if len(changes) == 0 || len(changes) > store.MaxChanges {
		return nil, fmt.Errorf("%d changes: make 1 to %d at once", len(changes), store.MaxChanges)
	}
	prepared := make([]change, len(changes))
	seen := make(map[resourceKey]bool, len(changes))
	for i, c := range changes {
		key := resourceKey{c.Kind, c.Name}
		if seen[key] {
			return nil, fmt.Errorf("%s/%s is changed twice: make each change once", c.Kind, c.Name)
		}
		seen[key] = true
		var err error
		if prepared[i], err = prepareChange(key, c); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", c.Kind, c.Name, err)
		}
	}
	return prepared, nil
}

func prepareChange(key resourceKey, c store.Change) (change, error) {
	if c.Resource == nil {
		if c.Revision == "" {
			return change{}, errors.New("it cannot be removed without its revision: read it first")
		}
		return change{key, deleteResource, []any{c.Kind, c.Name, c.Revision}}, nil
	}
	if c.Resource.Kind() != c.Kind || c.Resource.Name() != c.Name {
		return change{}, fmt.Errorf("the change holds %s/%s", c.Resource.Kind(), c.Resource.Name())
	}
	body, err := rules.Encode(c.Resource)
	if err != nil {
		return change{}, err
	}
	at, err := nanos(c.At)
	if err != nil {
		return change{}, err
	}
	var issuer sql.NullString
	if token, ok := c.Resource.(*rules.TokenRule); ok {
		issuer = sql.NullString{String: token.Issuer(), Valid: true}
	}
	args := []any{c.Kind, c.Name, rand.Text(), at, issuer, body, c.Edited}
	if c.Revision == "" {
		return change{key, insertResource, args}, nil
	}
	return change{key, updateResource, append(args, c.Revision)}, nil
}
