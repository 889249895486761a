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

// resourceItem is the key of a resource's item.
func resourceItem(k store.Key) item {
	return item{attrKind: text(string(k.Kind)), attrName: text(k.Name)}
}

// Get implements store.ResourceReader.
func (s *Store) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	key := store.Key{Kind: kind, Name: name}
	if kind == "" || !possible(name) {
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	found, err := s.get(ctx, s.tables.Resources, resourceItem(key))
	switch {
	case err != nil:
		return store.Stored{}, fail("reading "+key.String(), err)
	case found == nil:
		_, _ = store.DecodeResource(standIn, "", []byte(standInBody)) // for its time alone
		return store.Stored{}, fmt.Errorf("%s: %w", key, store.ErrNotFound)
	}
	return decodeResource(key, found)
}

// standIn is decoded where an item does not exist: to decode one that does takes a while
// in a small function, and would tell a stranger that tries names which of them exist.
var standIn = store.Key{Kind: rules.KindToken, Name: "stand-in"}

const standInBody = `{"kind":"token","version":"v2","metadata":{"name":"stand-in","description":"as long as usual",` +
	`"expires":"2100-01-01T00:00:00Z"},"spec":{"roles":["Bot"],"join_method":"github","bot_name":"example","max_joins":1,` +
	`"github":{"audience":"https://join.example.com","allow":[{"repository":"example/example","environment":"production","ref":"refs/heads/main"},` +
	`{"repository":"example/other","environment":"production","ref":"refs/heads/main"}]}}}`

// List implements store.ResourceReader by one Query.
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
	return decodeResource(store.Key{Kind: kind, Name: name}, found)
}

// decodeResource makes a resource of an item. Its error is a *store.InvalidError.
func decodeResource(key store.Key, found item) (store.Stored, error) {
	r := reader{item: found}
	body, stored := r.text(attrBody), store.Stored{Revision: r.text(attrRevision), UpdatedAt: r.instant(attrUpdatedAt)}
	if r.has(attrEdited) {
		stored.Edited = r.truth(attrEdited)
	}
	if r.err != nil {
		return store.Stored{}, store.Invalid(key, stored.Revision, r.err)
	}
	var err error
	if stored.Resource, err = store.DecodeResource(key, stored.Revision, []byte(body)); err != nil {
		return store.Stored{}, err
	}
	return stored, nil
}

// Issuers implements store.KeySets. It reads the attribute and not the token rules,
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
