package dynamo

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// RotatedAuthorities implements authority.Reader by one Query.
func (s *Store) RotatedAuthorities(ctx context.Context) ([]authority.Stored, error) {
	return allOf(ctx, s, store.KindAuthority, "reading the keys of authorities", decodeAuthority)
}

func decodeAuthority(found item) (authority.Stored, error) {
	r := reader{item: found}
	name, body := r.text(attrName), r.text(attrBody)
	one, err := authority.Stored{Revision: r.text(attrRevision), UpdatedAt: r.instant(attrUpdatedAt)}, r.err
	if err == nil {
		one.State, err = authority.ParseState(cert.Purpose(name), []byte(body))
	}
	if err != nil {
		return authority.Stored{}, fmt.Errorf("the keys of authority %s are stored but not valid: restore the item from a backup: %w", name, err)
	}
	return one, nil
}

// PutRotatedAuthority stores a in place of the one of this revision, by one conditional
// write; see authority.Store.
func (s *Store) PutRotatedAuthority(ctx context.Context, a authority.State, revision string, at time.Time) error {
	doing := fmt.Sprintf("writing the keys of authority %s", a.Purpose)
	body, err := a.Encode()
	if err != nil {
		return fail(doing, err)
	}
	updated, err := instant(at)
	if err != nil {
		return fail(doing, err)
	}
	fresh := rand.Text()
	put := resourceItem(store.Key{Kind: store.KindAuthority, Name: string(a.Purpose)})
	put[attrBody], put[attrRevision], put[attrUpdatedAt] = text(string(body)), text(fresh), updated
	when := ifRevision(revision)
	_, err = s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.tables.Resources, Item: put, ConditionExpression: when.text,
		ExpressionAttributeNames: when.names, ExpressionAttributeValues: when.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if there, ok := refused(err); ok {
		// The SDK sends a write again whose answer was lost: then what stands there is ours.
		if r := (reader{item: there}); there != nil && r.text(attrRevision) == fresh {
			return nil
		}
		return &store.ConflictError{Kind: store.KindAuthority, Name: string(a.Purpose)}
	}
	return fail(doing, err)
}
