package dynamo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// kindRevocation is the partition of revocations among the resources. It is no kind
// of the rule language: nobody applies one.
const kindRevocation rules.Kind = "revocation"

const (
	attrEnds = "ends"
	// parallelWrites is how many revocations are stored or removed at once.
	parallelWrites = 16
)

// Revocations implements store.RevocationReader by one Query.
func (s *Store) Revocations(ctx context.Context) ([]store.Revocation, error) {
	return allOf(ctx, s, kindRevocation, "reading the revocations", decodeRevocation)
}

func decodeRevocation(found item) (store.Revocation, error) {
	r := reader{item: found}
	id, body := r.text(attrName), r.text(attrBody)
	if r.err != nil {
		return store.Revocation{}, fmt.Errorf("the revocation %s is stored but not valid: %w", id, r.err)
	}
	return store.DecodeRevocation(id, []byte(body))
}

// Revoke implements store.Revocations, by one PutItem each.
func (s *Store) Revoke(ctx context.Context, all []store.Revocation) (int, error) {
	var added atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelWrites)
	for _, r := range all {
		group.Go(func() error {
			isNew, err := s.revoke(ctx, r)
			if isNew {
				added.Add(1)
			}
			return fail("storing the revocation "+r.ID, err)
		})
	}
	err := group.Wait()
	return int(added.Load()), err
}

func (s *Store) revoke(ctx context.Context, r store.Revocation) (bool, error) {
	body, err := store.EncodeRevocation(r)
	if err != nil {
		return false, err
	}
	put := resourceItem(store.Key{Kind: kindRevocation, Name: r.ID})
	put[attrBody], put[attrEnds] = text(string(body)), number(store.Seconds(r.Ends()))
	when := ifRevision("")
	_, err = s.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.tables.Resources, Item: put, ConditionExpression: when.text, ExpressionAttributeNames: when.names,
	})
	if _, there := refused(err); there {
		return false, nil
	}
	return err == nil, err
}

// Forget implements store.Revocations: the table of resources has no time to live.
func (s *Store) Forget(ctx context.Context, t time.Time) (int, error) {
	in := s.ofKind(kindRevocation)
	in.ProjectionExpression, in.FilterExpression = aws.String("#name"), aws.String("#ends < :t")
	in.ExpressionAttributeNames["#name"], in.ExpressionAttributeNames["#ends"] = attrName, attrEnds
	in.ExpressionAttributeValues[":t"] = number(t.Unix())
	var removed atomic.Int64
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelWrites)
	for found, err := range s.query(ctx, in) {
		r := reader{item: found}
		name := r.text(attrName)
		if err != nil || r.err != nil {
			return int(removed.Load()), errors.Join(fail("reading the revocations", errors.Join(err, r.err)), group.Wait())
		}
		group.Go(func() error {
			_, err := s.db.DeleteItem(groupCtx, &dynamodb.DeleteItemInput{
				TableName: &s.tables.Resources, Key: resourceItem(store.Key{Kind: kindRevocation, Name: name}),
			})
			if err == nil {
				removed.Add(1)
			}
			return fail("removing the revocation "+name, err)
		})
	}
	err := group.Wait()
	return int(removed.Load()), err
}
