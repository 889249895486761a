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
	"github.com/gatepass-ci/gatepass/pkg/rules"
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
// 4 MB, their other attributes included. It is not below what admin promises.
const maxBodies = 4<<20 - store.MaxChanges*2<<10

var _ [maxBodies - store.MaxBytes]struct{}

// Write implements admin.Resources by one transaction.
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
				return fmt.Errorf("%s/%s: %s: %s", changes[i].Kind, changes[i].Name, code, aws.ToString(reason.Message))
			}
		}
		if !again || try == writeTries {
			return err
		}
		if err := sleep(ctx, delay(try)); err != nil {
			return err
		}
	}
}

// prepareChanges checks and encodes changes before anything is sent.
func (s *Store) prepareChanges(changes []store.Change) ([]types.TransactWriteItem, error) {
	if len(changes) == 0 || len(changes) > store.MaxChanges {
		return nil, fmt.Errorf("%d changes: make 1 to %d at once", len(changes), store.MaxChanges)
	}
	writes := make([]types.TransactWriteItem, len(changes))
	seen := make(map[resourceKey]bool, len(changes))
	size := 0
	for i, c := range changes {
		key := resourceKey{c.Kind, c.Name}
		if seen[key] {
			return nil, fmt.Errorf("%s is changed twice: make each change once", key)
		}
		seen[key] = true
		var err error
		if writes[i], err = s.prepareChange(key, c); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if put := writes[i].Put; put != nil {
			size += bodySize(put.Item)
		}
	}
	if size > maxBodies {
		return nil, fmt.Errorf("the resources have %d bytes together: write at most %d at once", size, maxBodies)
	}
	return writes, nil
}

func (s *Store) prepareChange(key resourceKey, c store.Change) (types.TransactWriteItem, error) {
	if c.Resource == nil && c.Revision == "" {
		return types.TransactWriteItem{}, errors.New("it cannot be removed without its revision: read it first")
	}
	// That it must exist is part of "its revision is", and the other way round.
	condition, names, values := aws.String("attribute_not_exists(#kind)"), map[string]string{"#kind": attrKind}, item(nil)
	if c.Revision != "" {
		condition, names = aws.String("#revision = :revision"), map[string]string{"#revision": attrRevision}
		values = item{":revision": text(c.Revision)}
	}
	if c.Resource == nil {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &s.tables.Resources, Key: key.item(), ConditionExpression: condition,
			ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		}}, nil
	}
	encoded, err := encodeResource(key, c)
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &s.tables.Resources, Item: encoded, ConditionExpression: condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}}, nil
}

// encodeResource makes an item of a change, with a new revision.
func encodeResource(key resourceKey, c store.Change) (item, error) {
	if c.Resource.Kind() != c.Kind || c.Resource.Name() != c.Name {
		return nil, fmt.Errorf("the change holds %s/%s", c.Resource.Kind(), c.Resource.Name())
	}
	body, err := rules.Encode(c.Resource)
	if err != nil {
		return nil, err
	}
	at, err := instant(c.At)
	if err != nil {
		return nil, err
	}
	encoded := key.item()
	encoded[attrBody], encoded[attrRevision], encoded[attrUpdatedAt] = text(string(body)), text(rand.Text()), at
	if token, ok := c.Resource.(*rules.TokenRule); ok {
		encoded[attrIssuer] = text(token.Issuer())
	}
	if c.Edited {
		encoded[attrEdited] = truth(true)
	}
	return encoded, nil
}

func bodySize(resource item) int {
	body, ok := resource[attrBody].(*types.AttributeValueMemberS)
	if !ok {
		return 0
	}
	return len(body.Value)
}
