package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	attrJWKS      = "jwks"
	attrFetchedAt = "fetched_at"
	attrPinned    = "pinned"
	attrTriedAt   = "tried_at"
	attrFailure   = "failure"
)

// KeySet implements store.KeySetReader.
func (s *Store) KeySet(ctx context.Context, issuer string) (store.KeySet, error) {
	doing := "reading the key set of " + issuer
	found, err := s.get(ctx, s.tables.KeySets, item{attrIssuer: text(issuer)})
	if err != nil {
		return store.KeySet{}, fail(doing, err)
	}
	if found == nil {
		return store.KeySet{}, fmt.Errorf("key set of %s: %w", issuer, store.ErrNotFound)
	}
	ks, err := decodeKeySet(found)
	return ks, fail(doing, err)
}

// KeySets implements store.KeySets. It scans the table, which has few items.
func (s *Store) KeySets(ctx context.Context) ([]store.KeySet, error) {
	const doing = "reading the key sets"
	var all []store.KeySet
	in := &dynamodb.ScanInput{TableName: &s.tables.KeySets, ConsistentRead: aws.Bool(true)}
	for pages := dynamodb.NewScanPaginator(s.db, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fail(doing, err)
		}
		for _, found := range page.Items {
			ks, err := decodeKeySet(found)
			if err != nil {
				return nil, fail(doing, err)
			}
			all = append(all, ks)
		}
	}
	slices.SortFunc(all, func(a, b store.KeySet) int { return strings.Compare(a.Issuer, b.Issuer) })
	return all, nil
}

func decodeKeySet(found item) (store.KeySet, error) {
	r := reader{item: found}
	ks := store.KeySet{Issuer: r.text(attrIssuer), Pinned: r.truth(attrPinned), Failure: r.text(attrFailure)}
	if r.has(attrJWKS) {
		ks.JWKS = []byte(r.text(attrJWKS))
	}
	if r.has(attrFetchedAt) {
		ks.FetchedAt = r.instant(attrFetchedAt)
	}
	if r.has(attrTriedAt) {
		ks.TriedAt = r.instant(attrTriedAt)
	}
	if r.err != nil {
		return store.KeySet{}, fmt.Errorf("the key set of %s is stored but not valid: %w", ks.Issuer, r.err)
	}
	return ks, nil
}

// PutKeySet implements store.KeySets.
func (s *Store) PutKeySet(ctx context.Context, ks store.KeySet) error {
	err := s.putKeySet(ctx, ks)
	if errors.Is(err, store.ErrPinned) || errors.Is(err, store.ErrFetchedLater) {
		return fmt.Errorf("key set of %s: %w", ks.Issuer, err)
	}
	return fail("storing the key set of "+ks.Issuer, err)
}

func (s *Store) putKeySet(ctx context.Context, ks store.KeySet) error {
	put, err := encodeKeySet(ks)
	if err != nil {
		return err
	}
	in := &dynamodb.PutItemInput{TableName: &s.tables.KeySets, Item: put}
	if !ks.Pinned {
		// A pinned set is not replaced, nor one that was fetched later by a clock that was right.
		in.ConditionExpression = aws.String("attribute_not_exists(#issuer) OR #pinned = :false")
		in.ExpressionAttributeNames = map[string]string{"#issuer": attrIssuer, "#pinned": attrPinned}
		in.ExpressionAttributeValues = item{":false": truth(false)}
		if fetched, ok := put[attrFetchedAt]; ok {
			believed, err := instant(ks.FetchedAt.Add(store.MaxClockSkew))
			if err != nil {
				return err
			}
			*in.ConditionExpression += " AND (attribute_not_exists(#fetched) OR #fetched <= :fetched OR #fetched > :believed)"
			in.ExpressionAttributeNames["#fetched"] = attrFetchedAt
			in.ExpressionAttributeValues[":fetched"], in.ExpressionAttributeValues[":believed"] = fetched, believed
		}
		in.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
	}
	_, err = s.db.PutItem(ctx, in)
	there, ok := refused(err)
	if !ok {
		return err
	}
	r := reader{item: there}
	pinned := r.truth(attrPinned)
	switch {
	case r.err != nil:
		return r.err
	case pinned:
		return store.ErrPinned
	}
	return store.ErrFetchedLater
}

func encodeKeySet(ks store.KeySet) (item, error) {
	put := item{attrIssuer: text(ks.Issuer), attrPinned: truth(ks.Pinned), attrFailure: text("")}
	if len(ks.JWKS) > 0 {
		if !utf8.Valid(ks.JWKS) {
			return nil, errors.New("it is not UTF-8")
		}
		put[attrJWKS] = text(string(ks.JWKS))
	}
	for name, at := range map[string]time.Time{attrFetchedAt: ks.FetchedAt, attrTriedAt: ks.TriedAt} {
		if at.IsZero() {
			continue
		}
		var err error
		if put[name], err = instant(at); err != nil {
			return nil, err
		}
	}
	return put, nil
}

// KeySetFailed implements store.KeySets.
func (s *Store) KeySetFailed(ctx context.Context, issuer string, at time.Time, failure string) error {
	tried, err := instant(at)
	var believed types.AttributeValue
	if err == nil {
		believed, err = instant(at.Add(store.MaxClockSkew))
	}
	if err == nil {
		_, err = s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &s.tables.KeySets,
			Key:       item{attrIssuer: text(issuer)},
			// The failure of a fetch that began before the last one noted tells nothing.
			ConditionExpression: aws.String("attribute_not_exists(#tried) OR #tried <= :tried OR #tried > :believed"),
			UpdateExpression:    aws.String("SET #tried = :tried, #failure = :failure, #pinned = if_not_exists(#pinned, :false)"),
			ExpressionAttributeNames: map[string]string{
				"#tried": attrTriedAt, "#failure": attrFailure, "#pinned": attrPinned,
			},
			ExpressionAttributeValues: item{
				":tried": tried, ":believed": believed, ":failure": text(strings.ToValidUTF8(failure, "\uFFFD")), ":false": truth(false),
			},
		})
	}
	if _, earlier := refused(err); earlier {
		return nil
	}
	return fail("noting a failed fetch of the key set of "+issuer, err)
}

// Unpin implements store.KeySets.
func (s *Store) Unpin(ctx context.Context, issuer string) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.tables.KeySets,
		Key:                       item{attrIssuer: text(issuer)},
		ConditionExpression:       aws.String("attribute_exists(#issuer)"),
		UpdateExpression:          aws.String("SET #pinned = :false"),
		ExpressionAttributeNames:  map[string]string{"#issuer": attrIssuer, "#pinned": attrPinned},
		ExpressionAttributeValues: item{":false": truth(false)},
	})
	if _, missing := refused(err); missing {
		return fmt.Errorf("key set of %s: %w", issuer, store.ErrNotFound)
	}
	return fail("unpinning the key set of "+issuer, err)
}
