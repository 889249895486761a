package awstest

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
)

// NewTables creates tables that nobody else has, and returns their names.
func NewTables(ctx context.Context, client *dynamodb.Client) (dynamo.Tables, error) {
	prefix := "test-" + rand.Text()
	names := dynamo.Tables{Resources: prefix + "-resources", KeySets: prefix + "-keysets", Joins: prefix + "-joins"}
	return names, CreateTables(ctx, client, names)
}

// CreateTables creates the tables of dynamo.Schema under the names given.
func CreateTables(ctx context.Context, client *dynamodb.Client, names dynamo.Tables) error {
	for _, table := range dynamo.Schema() {
		if err := createTable(ctx, client, table, names.Named(table)); err != nil {
			return fmt.Errorf("creating the table %s: %w", table.Name, err)
		}
	}
	return nil
}

func createTable(ctx context.Context, client *dynamodb.Client, table dynamo.Table, name string) error {
	in := &dynamodb.CreateTableInput{TableName: &name, BillingMode: types.BillingModePayPerRequest}
	key := func(attr string, keyType types.KeyType) {
		in.AttributeDefinitions = append(in.AttributeDefinitions,
			types.AttributeDefinition{AttributeName: &attr, AttributeType: types.ScalarAttributeTypeS})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &attr, KeyType: keyType})
	}
	key(table.Hash, types.KeyTypeHash)
	if table.Range != "" {
		key(table.Range, types.KeyTypeRange)
	}
	if _, err := client.CreateTable(ctx, in); err != nil {
		return err
	}
	if table.TTL == "" {
		return nil
	}
	_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{
			AttributeName: &table.TTL, Enabled: aws.Bool(true),
		},
	})
	return err
}
