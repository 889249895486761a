package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

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

// Get returns one resource; store.ErrNotFound if it does not exist.
func (s *Store) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	key := resourceKey{kind, name}
	known := s.resources.get(key)
	var (
		found row
		body  []byte
	)
	err := s.stmts.resource.QueryRowContext(ctx, kind, name, known.revision).Scan(&found.revision, &found.updated, &found.edited, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Stored{}, fmt.Errorf("%s/%s: %w", kind, name, store.ErrNotFound)
	case err != nil:
		return store.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s/%s", kind, name), err)
	case found.revision == known.revision:
		return found.stored(known.resource), nil
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
	return store.Stored{Resource: resource, Revision: r.revision, UpdatedAt: time.Unix(0, r.updated).UTC(), Edited: r.edited}
}

// List returns all resources of a kind, by name.
func (s *Store) List(ctx context.Context, kind rules.Kind) ([]store.Stored, error) {
	var (
		all     []store.Stored
		invalid []error
	)
	rows, err := s.stmts.resourcesOf.QueryContext(ctx, kind)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var (
			name  string
			found row
			body  sql.RawBytes // valid until the next row, and then decoded
		)
		if err := rows.Scan(&name, &found.revision, &found.updated, &found.edited, &body); err != nil {
			return none, err
		}
		key := resourceKey{kind, name}
		if known := s.resources.get(key); known.revision == found.revision {
			all = append(all, found.stored(known.resource))
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

// decode makes a resource of a row and remembers it. Its error is an *store.InvalidError.
func (s *Store) decode(key resourceKey, found row, body []byte) (store.Stored, error) {
	resource, err := rules.Decode(body)
	if err == nil && (resource.Kind() != key.kind || resource.Name() != key.name) {
		err = fmt.Errorf("it holds %s/%s", resource.Kind(), resource.Name())
	}
	if err != nil {
		return store.Stored{}, &store.InvalidError{Kind: key.kind, Name: key.name, Revision: found.revision, Err: err}
	}
	s.resources.put(key, cached{found.revision, resource})
	return found.stored(resource), nil
}

// Token implements join.Rules.
func (s *Store) Token(ctx context.Context, name string) (*rules.TokenRule, error) {
	return one[*rules.TokenRule](ctx, s, rules.KindToken, name)
}

// Bot implements join.Rules.
func (s *Store) Bot(ctx context.Context, name string) (*rules.Bot, error) {
	return one[*rules.Bot](ctx, s, rules.KindBot, name)
}

// Roles implements join.Rules. A name that is there twice yields one role.
func (s *Store) Roles(ctx context.Context, names []string) ([]*rules.Role, error) {
	roles := make([]*rules.Role, 0, len(names))
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		role, err := one[*rules.Role](ctx, s, rules.KindRole, name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		roles = append(roles, role)
	}
	return roles, nil
}

// Locks implements join.Locks. Expired ones are included.
func (s *Store) Locks(ctx context.Context) ([]*rules.Lock, error) {
	all, err := s.List(ctx, rules.KindLock)
	if err != nil {
		return nil, err
	}
	locks := make([]*rules.Lock, len(all))
	for i, stored := range all {
		if locks[i], err = as[*rules.Lock](stored); err != nil {
			return nil, err
		}
	}
	return locks, nil
}

// Issuers implements jwks.Store.
func (s *Store) Issuers(ctx context.Context) ([]string, error) {
	rows, err := s.stmts.issuers.QueryContext(ctx)
	issuers, err := collect(rows, err, func(rows *sql.Rows) (issuer string, err error) {
		return issuer, rows.Scan(&issuer)
	})
	return issuers, s.fail(ctx, "reading the issuers of token rules", err)
}

func one[T rules.Resource](ctx context.Context, s *Store, kind rules.Kind, name string) (T, error) {
	stored, err := s.Get(ctx, kind, name)
	if err != nil {
		var none T
		return none, err
	}
	return as[T](stored)
}

// as is a resource by its own type, which its kind promises.
func as[T rules.Resource](stored store.Stored) (T, error) {
	resource, ok := stored.Resource.(T)
	if !ok {
		return resource, fmt.Errorf("%s/%s is a %T", stored.Resource.Kind(), stored.Resource.Name(), stored.Resource)
	}
	return resource, nil
}
