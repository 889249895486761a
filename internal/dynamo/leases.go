package dynamo

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	attrUntil  = "until"
	attrHolder = "holder"
)

// Lease implements store.Ledger.
func (s *Store) Lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	got, err := s.lease(ctx, name, now, until)
	return got, fail("taking the lease "+name, err)
}

func (s *Store) lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	from, err := instant(now)
	if err != nil {
		return false, err
	}
	to, err := instant(until)
	if err != nil {
		return false, err
	}
	believed, err := instant(until.Add(store.MaxClockSkew))
	if err != nil {
		return false, err
	}
	_, err = s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.tables.Joins,
		Key:       joinsKey("lease/"+name, "lease"),
		// The holder is this call and no other: it is so already if the answer to
		// the SDK's first try was lost.
		ConditionExpression:      aws.String("attribute_not_exists(#until) OR #until <= :now OR #until > :believed OR #holder = :holder"),
		UpdateExpression:         aws.String("SET #until = :until, #holder = :holder, #ttl = :ttl"),
		ExpressionAttributeNames: map[string]string{"#until": attrUntil, "#holder": attrHolder, "#ttl": attrTTL},
		ExpressionAttributeValues: item{
			":now": from, ":until": to, ":believed": believed, ":holder": text(rand.Text()), ":ttl": number(store.Seconds(until)),
		},
	})
	if _, held := refused(err); held {
		return false, nil
	}
	return err == nil, err
}
