package kms

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
)

const (
	// maxAttempts and maxBackoff bound the attempts of one call. KMS counts signatures
	// by the second, so a call that is throttled waits up to a second, at random
	// more and more, and is made again. The request's deadline ends it earlier.
	maxAttempts = 8
	maxBackoff  = time.Second
	// tryTimeout ends an attempt that gets no answer, so that the next can still be
	// in time: a connection may have broken while the function was frozen.
	tryTimeout = 3 * time.Second
)

// NewClient returns a client that makes a call again that was throttled or got no
// answer, within the deadline of its context. Both calls are safe to make again.
func NewClient(c aws.Config) *awskms.Client {
	return awskms.NewFromConfig(c, func(o *awskms.Options) {
		if h, ok := c.HTTPClient.(*awshttp.BuildableClient); ok { // what the SDK's own configuration sets
			o.HTTPClient = h.WithTimeout(tryTimeout)
		}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = maxAttempts, maxBackoff
		})
	})
}
