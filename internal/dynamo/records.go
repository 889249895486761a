package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	recordPrefix = "record/"
	attrTime     = "time"
	attrToken    = "token"
	attrBot      = "bot"
	attrCode     = "code"

	// shards are the characters that a ULID can end with (Crockford's base 32).
	shards = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// recordKey is the key of a record. Join ids are random at their end, so that
// records of one time are spread over all partitions.
func recordKey(joinID string) (item, error) {
	id, err := ulid.ParseStrict(joinID)
	if err != nil {
		return nil, fmt.Errorf("the join id %q is no ULID: %w", joinID, err)
	}
	if id.String() != joinID {
		return nil, fmt.Errorf("the join id %q is no ULID in upper case", joinID)
	}
	return joinsKey(recordPrefix+joinID[ulid.EncodedSize-1:], joinID), nil
}

// Record implements store.Ledger by one PutItem.
func (s *Store) Record(ctx context.Context, r store.Record, keepUntil time.Time) error {
	put, err := encodeRecord(r, keepUntil)
	if err == nil {
		err = s.putRecord(ctx, put)
	}
	return fail("storing the record "+r.JoinID, err)
}

func (s *Store) putRecord(ctx context.Context, put item) error {
	_, err := s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.tables.Joins, Item: put})
	return err
}

func encodeRecord(r store.Record, keepUntil time.Time) (item, error) {
	put, err := recordKey(r.JoinID)
	if err != nil {
		return nil, err
	}
	at, err := instant(r.Time)
	if err != nil {
		return nil, err
	}
	body, err := store.EncodeRecord(r)
	if err != nil {
		return nil, err
	}
	put[attrTime], put[attrBody], put[attrTTL] = at, text(string(body)), number(store.Seconds(keepUntil))
	put[attrToken], put[attrBot], put[attrCode] = text(r.Token), text(r.Bot), text(r.Code)
	return put, nil
}

// Join implements store.Records.
func (s *Store) Join(ctx context.Context, id string) (store.Record, error) {
	key, err := recordKey(id)
	if err != nil { // none is stored under such an id
		return store.Record{}, fmt.Errorf("record %q: %w", id, store.ErrNotFound)
	}
	found, err := s.get(ctx, s.tables.Joins, key)
	if err != nil {
		return store.Record{}, fail("reading the record "+id, err)
	}
	if found == nil {
		return store.Record{}, fmt.Errorf("record %s: %w", id, store.ErrNotFound)
	}
	return decodeRecord(found)
}

// decodeRecord returns the record, or a *store.DamagedError.
func decodeRecord(found item) (store.Record, error) {
	r := reader{item: found}
	id, body := r.text(attrSK), r.text(attrBody)
	if r.err != nil {
		return store.Record{}, &store.DamagedError{JoinID: id, Err: r.err}
	}
	return store.DecodeRecord(id, []byte(body))
}
