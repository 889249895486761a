package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	// A body that is in the cache is not read.
	selectResource = `SELECT revision, updated_at, edited, CASE WHEN revision = ?3 THEN NULL ELSE body END
		FROM resources WHERE kind = ?1 AND name = ?2`
	selectResourcesOf = `SELECT name, revision, updated_at, edited, body FROM resources WHERE kind = ?1 ORDER BY name`
	selectIssuers     = `SELECT DISTINCT issuer FROM resources WHERE issuer IS NOT NULL ORDER BY issuer`
)

// Get implements store.ResourceReader.
func (s *Store) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	key := store.Key{Kind: kind, Name: name}
	known := s.resources.get(key)
	var (
		found row
		body  []byte
	)
	read, err := short(ctx)
	if err == nil {
		err = s.stmts.resource.QueryRowContext(read, kind, name, known.revision).Scan(&found.revision, &found.updated, &found.edited, &body)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	case err != nil:
		return store.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s", key), err)
	case found.revision == known.revision:
		return found.stored(known.value), nil
	}
	return s.decode(key, found, body)
}

// row is what is read of a resource beside its body.
type row struct {
	revision string
	updated  int64
	edited   bool
}

func (r row) stored(resource rules.Resource) store.Stored {
	return store.Stored{Resource: resource, Revision: r.revision, UpdatedAt: store.FromNanoseconds(r.updated), Edited: r.edited}
}

// GetEach implements store.ResourceReader: a read costs little here.
func (s *Store) GetEach(ctx context.Context, kind rules.Kind, names []string) ([]store.Stored, error) {
	return store.GetEachByGet(ctx, s, kind, names)
}

// List implements store.ResourceReader.
func (s *Store) List(ctx context.Context, kind rules.Kind) ([]store.Stored, error) {
	var (
		all     []store.Stored
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
		if known := s.resources.get(key); known.revision == found.revision {
			all = append(all, found.stored(known.value))
		} else if stored, err := s.decode(key, found, body); err != nil {
			invalid = append(invalid, err)
		} else {
			all = append(all, stored)
		}
		return none, nil
	})
	if err != nil {
		return nil, s.fail(ctx, fmt.Sprintf("reading all of kind %s", kind), err)
	}
	return all, errors.Join(invalid...)
}

// decode makes a resource of a row and remembers it. Its error is a *store.InvalidError.
func (s *Store) decode(key store.Key, found row, body []byte) (store.Stored, error) {
	resource, err := store.DecodeResource(key, found.revision, body)
	if err != nil {
		return store.Stored{}, err
	}
	s.resources.put(key, found.revision, resource)
	return found.stored(resource), nil
}

// Issuers implements store.KeySets.
func (s *Store) Issuers(ctx context.Context) ([]string, error) {
	rows, err := s.stmts.issuers.QueryContext(ctx)
	issuers, err := collect(rows, err, func(rows *sql.Rows) (issuer string, err error) {
		return issuer, rows.Scan(&issuer)
	})
	return issuers, s.fail(ctx, "reading the issuers of token rules", err)
}
