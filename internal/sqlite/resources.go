package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	// A body that is in memory is not read.
	selectResource = `SELECT revision, updated_at, edited, CASE WHEN revision = ?3 THEN NULL ELSE body END
		FROM resources WHERE kind = ?1 AND name = ?2`
	selectResourcesOf = `SELECT name, revision, updated_at, edited, body FROM resources WHERE kind = ?1 ORDER BY name`
	selectIssuers     = `SELECT DISTINCT issuer FROM resources WHERE issuer IS NOT NULL ORDER BY issuer`
)

// Get implements store.ResourceReader.
func (s *Store) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	key := store.Key{Kind: kind, Name: name}
	changes, err := s.changes.count(ctx)
	if err != nil {
		return store.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s", key), err)
	}
	known := s.resources.get(key)
	if known.changes == changes {
		return known.value, nil
	}
	if missing, err := s.missing(ctx, key, changes); err != nil {
		return store.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s", key), err)
	} else if missing {
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	var (
		found row
		body  []byte
	)
	read, err := short(ctx)
	if err == nil {
		err = s.stmts.resource.QueryRowContext(read, kind, name, known.value.Revision).Scan(&found.revision, &found.updated, &found.edited, &body)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := s.learnNames(ctx, kind, changes); err != nil {
			return store.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s", key), err)
		}
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	case err != nil:
		return store.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s", key), err)
	case found.revision == known.value.Revision:
		known.changes = changes
		s.resources.put(key, known)
		return known.value, nil
	}
	return s.decode(key, found, body, changes)
}

// row is what is read of a resource beside its body.
type row struct {
	revision string
	updated  int64
	edited   bool
}

// GetEach implements store.ResourceReader: a read costs little here.
func (s *Store) GetEach(ctx context.Context, kind rules.Kind, names []string) ([]store.Stored, error) {
	return store.GetEachByGet(ctx, s, kind, names)
}

// List implements store.ResourceReader.
func (s *Store) List(ctx context.Context, kind rules.Kind) ([]store.Stored, error) {
	doing := fmt.Sprintf("reading all of kind %s", kind)
	changes, err := s.changes.count(ctx)
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	known := s.lists.get(kind)
	if known.changes != 0 && known.changes < changes {
		same, err := s.unchanged(ctx, kind, known.changes)
		if err != nil {
			return nil, s.fail(ctx, doing, err)
		}
		if same { // others were changed
			known.changes = changes
			s.lists.put(kind, known)
		}
	}
	if known.changes == changes {
		return slices.Clone(known.value), nil
	}
	var (
		all     []store.Stored
		size    int
		invalid []error
	)
	rows, err := queryShort(ctx, s.stmts.resourcesOf, kind)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var (
			name  string
			found row
			body  sql.RawBytes // valid until the next row, and then decoded
		)
		if err := rows.Scan(&name, &found.revision, &found.updated, &found.edited, &body); err != nil {
			return none, err
		}
		key := store.Key{Kind: kind, Name: name}
		size += len(body)
		if known := s.resources.get(key).value; known.Resource != nil && known.Revision == found.revision {
			all = append(all, known)
		} else if stored, err := s.decode(key, found, body, changes); err != nil {
			invalid = append(invalid, err)
		} else {
			all = append(all, stored)
		}
		return none, nil
	})
	if err != nil {
		return nil, s.fail(ctx, doing, err)
	}
	if len(invalid) == 0 {
		s.lists.put(kind, remembered[[]store.Stored]{slices.Clone(all), changes, size})
	}
	return all, errors.Join(invalid...)
}

// decode makes a resource of a row and keeps it. Its error is a *store.InvalidError.
func (s *Store) decode(key store.Key, found row, body []byte, changes int64) (store.Stored, error) {
	resource, err := store.DecodeResource(key, found.revision, body)
	if err != nil {
		return store.Stored{}, err
	}
	stored := store.Stored{Resource: resource, Revision: found.revision, UpdatedAt: store.FromNanoseconds(found.updated), Edited: found.edited}
	s.resources.put(key, remembered[store.Stored]{stored, changes, len(body)})
	return stored, nil
}

// Issuers implements store.KeySets.
func (s *Store) Issuers(ctx context.Context) ([]string, error) {
	rows, err := s.stmts.issuers.QueryContext(ctx)
	issuers, err := collect(rows, err, func(rows *sql.Rows) (issuer string, err error) {
		return issuer, rows.Scan(&issuer)
	})
	return issuers, s.fail(ctx, "reading the issuers of token rules", err)
}
