package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

// Codes of why DynamoDB cancels a transaction because of one of its items.
const (
	reasonNone     = "None"
	reasonChanged  = "ConditionalCheckFailed"
	reasonConflict = "TransactionConflict" // with another one that is under way
	// The table takes no more just now; the SDK sends again only what is refused as a whole.
	reasonThrottled = "ThrottlingError"
	reasonCapacity  = "ProvisionedThroughputExceeded"
)

// writeTries bounds how often a transaction is sent that is cancelled for what passes.
const writeTries = 8

// maxBodies is how many bytes the resources of one transaction may have: it takes
// 4 MB, their other attributes included. It is not below what store.Resources promises.
const maxBodies = 4<<20 - store.MaxChanges*2<<10

var _ [maxBodies - store.MaxBytes]struct{}

// Write implements store.Resources by one transaction.
func (s *Store) Write(ctx context.Context, changes []store.Change) error {
	writes, err := s.prepareChanges(changes)
	if err != nil {
		return fmt.Errorf("writing resources: %w", err)
	}
	err = s.transact(ctx, writes, changes)
	if conflict, ok := errors.AsType[*store.ConflictError](err); ok {
		return conflict
	}
	return fail("writing resources", err)
}

// transact sends a transaction, and again if all that stands against it is
// another one under way, or too many. The SDK gives each a token (ClientRequestToken), so that
// one that it sends again, because the answer was lost, is not refused for having
// changed the revisions.
func (s *Store) transact(ctx context.Context, writes []types.TransactWriteItem, changes []store.Change) error {
	for try := 1; ; try++ {
		_, err := s.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
		cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return err
		}
		again := false
		for i, reason := range cancelled.CancellationReasons {
			switch code := aws.ToString(reason.Code); {
			case code == "" || code == reasonNone || i >= len(changes):
			case code == reasonChanged:
				return &store.ConflictError{Kind: changes[i].Kind, Name: changes[i].Name}
			case code == reasonConflict || code == reasonThrottled || code == reasonCapacity:
				again = true
			default:
				return fmt.Errorf("%s: %s: %s", changes[i].Key(), code, aws.ToString(reason.Message))
			}
		}
		if !again || try == writeTries {
			return err
		}
		if err := wait.For(ctx, delay(try)); err != nil {
			return err
		}
	}
}

// prepareChanges makes the items of a transaction before anything is sent.
func (s *Store) prepareChanges(changes []store.Change) ([]types.TransactWriteItem, error) {
	encoded, err := store.EncodeChanges(changes)
	if err != nil {
		return nil, err
	}
	writes := make([]types.TransactWriteItem, len(encoded))
	size := 0
	for i, e := range encoded {
		if writes[i], err = s.prepareChange(e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Key(), err)
		}
		size += len(e.Body)
	}
	if size > maxBodies {
		return nil, fmt.Errorf("the resources have %d bytes together: write at most %d at once", size, maxBodies)
	}
	return writes, nil
}

func (s *Store) prepareChange(e store.EncodedChange) (types.TransactWriteItem, error) {
	// That it must exist is part of "its revision is", and the other way round.
	when := ifRevision(e.Revision)
	if e.Resource == nil {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &s.tables.Resources, Key: resourceItem(e.Key()), ConditionExpression: when.text,
			ExpressionAttributeNames: when.names, ExpressionAttributeValues: when.values,
		}}, nil
	}
	put, err := encodeResource(e)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &s.tables.Resources, Item: put, ConditionExpression: when.text,
		ExpressionAttributeNames: when.names, ExpressionAttributeValues: when.values,
	}}, nil
}

// encodeResource makes an item of a change, with a new revision.
func encodeResource(e store.EncodedChange) (item, error) {
	at, err := instant(e.At)
	if err != nil {
		return nil, err
	}
	put := resourceItem(e.Key())
	put[attrBody], put[attrRevision], put[attrUpdatedAt] = text(string(e.Body)), text(rand.Text()), at
	if e.Issuer != "" {
		put[attrIssuer] = text(e.Issuer)
	}
	if e.Edited {
		put[attrEdited] = truth(true)
	}
	return put, nil
}
