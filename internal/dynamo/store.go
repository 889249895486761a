package dynamo

import (
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// Config is what a Store is made of. All fields are required save where it says otherwise.
type Config struct {
	// Client calls DynamoDB. NewClient makes one that fits.
	Client *dynamodb.Client
	// Tables are the tables' names. Joins may be empty for who only looks after key
	// sets; each call that needs the table then fails.
	Tables Tables
}

// Store is the store on AWS. It is safe for concurrent use.
type Store struct {
	db     *dynamodb.Client
	tables Tables
}

var _ store.Store = (*Store)(nil)

// New checks c and returns a Store. It makes no call.
func New(c Config) (*Store, error) {
	if c.Client == nil {
		return nil, errors.New("the store has no DynamoDB client")
	}
	for _, t := range Schema() {
		if c.Tables.Named(t) == "" && t.Name != joinsTable {
			return nil, fmt.Errorf("the name of the table %s is empty: set it", t.Name)
		}
	}
	return &Store{db: c.Client, tables: c.Tables}, nil
}

// fail says what was being done when err happened. The SDK's errors wrap that of
// the context if it has ended.
func fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
