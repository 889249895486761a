package dynamo

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// maxBatch is how many items one BatchGetItem may ask for. A bot has no more roles.
const maxBatch = 100

// batchTries bounds how often what DynamoDB left out is asked for again.
const batchTries = 8

// GetEach implements store.ResourceReader, by one call as long as DynamoDB answers it whole.
func (s *Store) GetEach(ctx context.Context, kind rules.Kind, names []string) ([]store.Stored, error) {
	found := make(map[string]store.Stored, len(names))
	wanted := slices.Compact(slices.Sorted(slices.Values(names)))
	wanted = slices.DeleteFunc(wanted, func(name string) bool { return !possible(name) })
	for batch := range slices.Chunk(wanted, maxBatch) {
		items, err := s.batchGet(ctx, kind, batch)
		if err != nil {
			return nil, fail(fmt.Sprintf("reading the %ss %q", kind, batch), err)
		}
		for _, one := range items {
			stored, err := decodeListed(kind, one)
			if err != nil {
				return nil, err
			}
			found[stored.Resource.Name()] = stored
		}
	}
	all := make([]store.Stored, 0, len(found))
	for _, name := range names {
		if stored, ok := found[name]; ok {
			all = append(all, stored)
			delete(found, name)
		}
	}
	return all, nil
}

// batchGet reads the resources that exist of those named, in any order. DynamoDB may
// leave some out of an answer, because of throttling or size, and says which.
func (s *Store) batchGet(ctx context.Context, kind rules.Kind, names []string) ([]item, error) {
	ask := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for _, name := range names {
		ask.Keys = append(ask.Keys, resourceItem(store.Key{Kind: kind, Name: name}))
	}
	var all []item
	for try := 1; ; try++ {
		out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{s.tables.Resources: ask},
		})
		if err != nil {
			return nil, err
		}
		for _, found := range out.Responses[s.tables.Resources] {
			all = append(all, found)
		}
		ask.Keys = out.UnprocessedKeys[s.tables.Resources].Keys
		switch {
		case len(ask.Keys) == 0:
			return all, nil
		case try == batchTries:
			return nil, fmt.Errorf("DynamoDB still leaves out %d of %d %ss after %d tries", len(ask.Keys), len(names), kind, try)
		}
		if err := wait.For(ctx, delay(try)); err != nil {
			return nil, err
		}
	}
}
