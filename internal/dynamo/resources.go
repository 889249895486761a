package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	attrBody      = "body"
	attrRevision  = "revision"
	attrUpdatedAt = "updated_at"
	attrEdited    = "edited"
)

// possible tells whether a key can have this name. DynamoDB refuses to look for
// one that is empty or too long, and none is stored under such a name.
func possible(name string) bool { return name != "" && len(name) <= 1024 }

// resourceKey is the key of a resource.
type resourceKey struct {
	kind rules.Kind
	name string
}

func (k resourceKey) String() string { return fmt.Sprintf("%s/%s", k.kind, k.name) }

func (k resourceKey) item() item { return item{attrKind: text(string(k.kind)), attrName: text(k.name)} }

// Get returns one resource; store.ErrNotFound if it does not exist.
func (s *Store) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	key := resourceKey{kind, name}
	if kind == "" || !possible(name) {
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	found, err := s.get(ctx, s.tables.Resources, key.item())
	switch {
	case err != nil:
		return store.Stored{}, fail("reading "+key.String(), err)
	case found == nil:
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	return decodeResource(key, found)
}

// List returns all resources of a kind, by name.
func (s *Store) List(ctx context.Context, kind rules.Kind) ([]store.Stored, error) {
	var (
		all     []store.Stored
		invalid []error
	)
	for found, err := range s.query(ctx, s.ofKind(kind)) {
		if err != nil {
			return nil, fail(fmt.Sprintf("reading all of kind %s", kind), err)
		}
		if one, err := decodeListed(kind, found); err != nil {
			invalid = append(invalid, err)
		} else {
			all = append(all, one)
		}
	}
	return all, errors.Join(invalid...)
}

// ofKind asks for all items of a kind. DynamoDB sorts them by the bytes of the name.
func (s *Store) ofKind(kind rules.Kind) *dynamodb.QueryInput {
	return &dynamodb.QueryInput{
		TableName:                 &s.tables.Resources,
		KeyConditionExpression:    aws.String("#kind = :kind"),
		ExpressionAttributeNames:  map[string]string{"#kind": attrKind},
		ExpressionAttributeValues: item{":kind": text(string(kind))},
	}
}

func decodeListed(kind rules.Kind, found item) (store.Stored, error) {
	r := reader{item: found}
	name := r.text(attrName)
	if r.err != nil { // never: it is the key
		return store.Stored{}, fmt.Errorf("an item of kind %s: %w", kind, r.err)
	}
	return decodeResource(resourceKey{kind, name}, found)
}

// decodeResource makes a resource of an item.
func decodeResource(key resourceKey, found item) (store.Stored, error) {
	r := reader{item: found}
	body, stored := r.text(attrBody), store.Stored{Revision: r.text(attrRevision), UpdatedAt: r.instant(attrUpdatedAt)}
	if r.has(attrEdited) {
		stored.Edited = r.truth(attrEdited)
	}
	err := r.err
	if err == nil {
		stored.Resource, err = rules.Decode([]byte(body))
	}
	if err == nil && (stored.Resource.Kind() != key.kind || stored.Resource.Name() != key.name) {
		err = fmt.Errorf("it holds %s/%s", stored.Resource.Kind(), stored.Resource.Name())
	}
	if err != nil {
		return store.Stored{}, &store.InvalidError{Kind: key.kind, Name: key.name, Revision: stored.Revision, Err: err}
	}
	return stored, nil
}

// Token implements join.Rules.
func (s *Store) Token(ctx context.Context, name string) (*rules.TokenRule, error) {
	return one[*rules.TokenRule](ctx, s, rules.KindToken, name)
}

// Bot implements join.Rules.
func (s *Store) Bot(ctx context.Context, name string) (*rules.Bot, error) {
	return one[*rules.Bot](ctx, s, rules.KindBot, name)
}

// Locks implements join.Locks by one Query. Expired ones are included.
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

// Issuers implements jwks.Store. It reads the attribute and not the token rules,
// so that one that is damaged does not keep the others' issuers from being refreshed.
func (s *Store) Issuers(ctx context.Context) ([]string, error) {
	in := s.ofKind(rules.KindToken)
	in.ProjectionExpression = aws.String("#issuer")
	in.ExpressionAttributeNames["#issuer"] = attrIssuer
	issuers := make(map[string]bool)
	for found, err := range s.query(ctx, in) {
		if err != nil {
			return nil, fail("reading the issuers of token rules", err)
		}
		r := reader{item: found}
		if issuer := r.text(attrIssuer); r.err == nil && issuer != "" {
			issuers[issuer] = true
		}
	}
	return slices.Sorted(maps.Keys(issuers)), nil
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
