package dynamo

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Tables returns the names of the store's tables.
func (s *Store) Tables() Tables { return s.tables }

// ResourceKey is the key of a resource's item.
func ResourceKey(kind, name string) item {
	return resourceItem(store.Key{Kind: rules.Kind(kind), Name: name})
}

// RecordKey is the key of a record's item.
func RecordKey(id string) item {
	key, err := recordKey(id)
	if err != nil {
		panic(err)
	}
	return key
}

// MaxAttempts, WriteTries and BatchTries are how often calls are tried.
const (
	MaxAttempts = maxAttempts
	WriteTries  = writeTries
	BatchTries  = batchTries
)

// Quick makes a client try again at once.
func Quick(o *dynamodb.Options) {
	o.Retryer = retryer(func(int) time.Duration { return time.Millisecond })
}

// MaxBodies is how many bytes the resources of one Write may have.
const MaxBodies = maxBodies

// HTTPClient is the client that NewClient makes, with another timeout.
func HTTPClient(tryTimeout time.Duration) aws.HTTPClient {
	return awshttp.NewBuildableClient().WithTimeout(tryTimeout)
}

// Shards are the partitions of records.
const Shards = shards

// KindRevocation is the partition of revocations.
const KindRevocation = string(kindRevocation)

// NewestFirst cuts the join ids from since until until into the parts that a listing
// reads one after another.
func NewestFirst(since, until, now time.Time) (parts [][2]ulid.ULID, whole [2]ulid.ULID) {
	all, _ := idRange(since, until)
	for _, part := range all.newestFirst(now) {
		parts = append(parts, [2]ulid.ULID{part.oldest, part.newest})
	}
	return parts, [2]ulid.ULID{all.oldest, all.newest}
}

// DecodeStandIn decodes what is decoded where an item does not exist.
func DecodeStandIn() (rules.Resource, error) {
	return store.DecodeResource(standIn, "", []byte(standInBody))
}
