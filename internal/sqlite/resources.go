package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	// A body that is in the cache is not read.
	selectResource = `SELECT revision, updated_at, CASE WHEN revision = ?3 THEN NULL ELSE body END
		FROM resources WHERE kind = ?1 AND name = ?2`
	selectResourcesOf = `SELECT name, revision, updated_at, body FROM resources WHERE kind = ?1 ORDER BY name`
	selectIssuers     = `SELECT DISTINCT issuer FROM resources WHERE issuer IS NOT NULL ORDER BY issuer`
)

// Get returns one resource; join.ErrNotFound if it does not exist.
func (s *Store) Get(ctx context.Context, kind rules.Kind, name string) (admin.Stored, error) {
	key := resourceKey{kind, name}
	known := s.resources.get(key)
	var (
		revision string
		updated  int64
		body     []byte
	)
	err := s.stmts.resource.QueryRowContext(ctx, kind, name, known.revision).Scan(&revision, &updated, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return admin.Stored{}, fmt.Errorf("%s/%s: %w", kind, name, join.ErrNotFound)
	case err != nil:
		return admin.Stored{}, s.fail(ctx, fmt.Sprintf("reading %s/%s", kind, name), err)
	case revision == known.revision:
		return stored(known, updated), nil
	}
	return s.decode(key, revision, updated, body)
}

// List returns all resources of a kind, by name.
func (s *Store) List(ctx context.Context, kind rules.Kind) ([]admin.Stored, error) {
	rows, err := s.stmts.resourcesOf.QueryContext(ctx, kind)
	all, err := collect(rows, err, func(rows *sql.Rows) (admin.Stored, error) {
		var (
			name, revision string
			updated        int64
			body           sql.RawBytes // valid until the next row, and then decoded
		)
		if err := rows.Scan(&name, &revision, &updated, &body); err != nil {
			return admin.Stored{}, err
		}
		key := resourceKey{kind, name}
		if known := s.resources.get(key); known.revision == revision {
			return stored(known, updated), nil
		}
		return s.decode(key, revision, updated, body)
	})
	return all, s.fail(ctx, fmt.Sprintf("reading all of kind %s", kind), err)
}

// decode makes a resource of a row and remembers it.
func (s *Store) decode(key resourceKey, revision string, updated int64, body []byte) (admin.Stored, error) {
	resource, err := rules.Decode(body)
	if err == nil && (resource.Kind() != key.kind || resource.Name() != key.name) {
		err = fmt.Errorf("it holds %s/%s", resource.Kind(), resource.Name())
	}
	if err != nil {
		return admin.Stored{}, fmt.Errorf("%s/%s is stored but not valid: apply it again: %w", key.kind, key.name, err)
	}
	now := cached{revision, resource}
	s.resources.put(key, now)
	return stored(now, updated), nil
}

func stored(c cached, updated int64) admin.Stored {
	return admin.Stored{Resource: c.resource, Revision: c.revision, UpdatedAt: time.Unix(0, updated).UTC()}
}

// Token implements join.Rules.
func (s *Store) Token(ctx context.Context, name string) (*rules.Token, error) {
	return one[*rules.Token](ctx, s, rules.KindToken, name)
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
		if errors.Is(err, join.ErrNotFound) {
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
func as[T rules.Resource](stored admin.Stored) (T, error) {
	resource, ok := stored.Resource.(T)
	if !ok {
		return resource, fmt.Errorf("%s/%s is a %T", stored.Resource.Kind(), stored.Resource.Name(), stored.Resource)
	}
	return resource, nil
}
