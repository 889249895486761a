package dynamo

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// A call is tried a few times, soon after each other: DynamoDB answers in
// milliseconds, and somebody waits for the join. All tries are within the
// caller's deadline.
const (
	maxAttempts = 4
	maxDelay    = 400 * time.Millisecond
	// tryTimeout ends a try that gets no answer, so that the next can still be in time.
	tryTimeout = 3 * time.Second
)

// NewClient returns a client of DynamoDB for a Store. Options are applied last;
// one of them may set an endpoint or an HTTP client.
func NewClient(cfg aws.Config, options ...func(*dynamodb.Options)) *dynamodb.Client {
	defaults := func(o *dynamodb.Options) {
		o.Retryer = retryer(delay)
		switch h := cfg.HTTPClient.(type) {
		case nil:
			o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(tryTimeout)
		case *awshttp.BuildableClient: // what the SDK's own configuration sets
			o.HTTPClient = h.WithTimeout(tryTimeout)
		}
	}
	return dynamodb.NewFromConfig(cfg, append([]func(*dynamodb.Options){defaults}, options...)...)
}

func retryer(delay func(attempt int) time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return delay(attempt), nil
		})
	})
}

// delay is how long to wait after the failure of an attempt, counted from 1:
// about twice as long each time, and random, so that callers that were refused
// together do not come back together.
func delay(attempt int) time.Duration {
	most := min(50*time.Millisecond<<min(attempt-1, 8), maxDelay)
	return most/2 + rand.N(most/2)
}
