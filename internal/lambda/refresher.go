package lambda

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/gatepass-ci/gatepass/internal/join"
)

// Invoker is the part of the SDK's client that a Refresher uses.
type Invoker interface {
	Invoke(ctx context.Context, in *awslambda.InvokeInput, opts ...func(*awslambda.Options)) (*awslambda.InvokeOutput, error)
}

// Refresher has the function jwks-refresh fetch one issuer's key set: join
// itself never dials an issuer, and has no right to store a key set.
type Refresher struct {
	client   Invoker
	function string
}

var _ join.Refresher = (*Refresher)(nil)

// NewRefresher returns a Refresher by the function of that name or ARN.
func NewRefresher(client Invoker, function string) *Refresher {
	return &Refresher{client: client, function: function}
}

// Refresh returns when the function has stored the key set, or with the error
// that it ended with.
func (r *Refresher) Refresh(ctx context.Context, issuer string) error {
	payload, err := json.Marshal(refreshEvent{Issuer: &issuer})
	if err != nil {
		return err
	}
	out, err := r.client.Invoke(ctx, &awslambda.InvokeInput{
		FunctionName: aws.String(r.function), InvocationType: types.InvocationTypeRequestResponse, Payload: payload,
	})
	if err != nil {
		return fmt.Errorf("asking %s to refresh %s: %w", r.function, issuer, err)
	}
	if out.FunctionError == nil {
		return nil
	}
	var failure struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(out.Payload, &failure) != nil || failure.Message == "" {
		failure.Message = "no reason was given; look at its log"
	}
	return fmt.Errorf("%s could not refresh %s: %s", r.function, issuer, failure.Message)
}
