package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/storetest"
)

// local is the one server of this package's tests; nil if it is not installed.
var local *awstest.DynamoDB

func TestMain(m *testing.M) {
	server, err := awstest.StartDynamoDB()
	if err != nil && (os.Getenv("CI") != "" || !errors.Is(err, awstest.ErrUnavailable)) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	local = server
	status := m.Run()
	if local != nil {
		local.Stop()
	}
	os.Exit(status)
}

// tables returns new tables, or skips the test.
func tables(t testing.TB) dynamo.Tables {
	t.Helper()
	if local == nil {
		t.Skip(awstest.ErrUnavailable)
	}
	names, err := awstest.NewTables(t.Context(), local.Client())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// open returns a store of some tables, with a client of its own.
func open(t testing.TB, names dynamo.Tables, options ...func(*dynamodb.Options)) *dynamo.Store {
	t.Helper()
	s, err := dynamo.New(dynamo.Config{Client: local.Client(options...), Tables: names})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t,
		func(t *testing.T) storetest.Store { return open(t, tables(t)) },
		storetest.Options{
			RecordsApart: true,
			Reopen:       func(t *testing.T, s storetest.Store) storetest.Store { return open(t, s.(*dynamo.Store).Tables()) },
			Corrupt: func(t *testing.T, s storetest.Store, kind, name string) {
				names := s.(*dynamo.Store).Tables()
				table, key := names.Resources, dynamo.ResourceKey(kind, name)
				if kind == storetest.KindRecord {
					table, key = names.Joins, dynamo.RecordKey(name)
				}
				update(t, table, key, `SET body = :v`, &types.AttributeValueMemberS{Value: `{"kind": 7`})
			},
		})
}

// update changes an item behind the store's back; expression may name :v.
func update(t testing.TB, table string, key map[string]types.AttributeValue, expression string, v types.AttributeValue) {
	t.Helper()
	in := &dynamodb.UpdateItemInput{TableName: &table, Key: key, UpdateExpression: &expression}
	if v != nil {
		in.ExpressionAttributeValues = map[string]types.AttributeValue{":v": v}
	}
	if _, err := local.Client().UpdateItem(context.Background(), in); err != nil {
		t.Fatalf("%s: %v", aws.ToString(&expression), err)
	}
}
