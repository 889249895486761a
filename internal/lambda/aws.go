package lambda

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// The variables of AWS's own that the functions read. Lambda sets the first four.
const (
	envRegion    = "AWS_REGION"
	envKeyID     = "AWS_ACCESS_KEY_ID"
	envSecretKey = "AWS_SECRET_ACCESS_KEY"
	envSession   = "AWS_SESSION_TOKEN"
	envFIPS      = "AWS_USE_FIPS_ENDPOINT"
	envEndpoint  = "AWS_ENDPOINT_URL" // and _DYNAMODB, _KMS or _LAMBDA for one service
)

// dialTimeout bounds a connection: AWS's endpoints are near, and an attempt that is
// lost should leave time for another. How long a call may take is its client's matter.
const dialTimeout = 2 * time.Second

// AWSConfig is the SDK's configuration from the environment that Lambda sets. The SDK's
// own loader (its package config) also looks for files, single sign-on, web identities
// and a metadata server. A function has none of these, and each start would pay for them.
func AWSConfig(getenv func(string) string) (aws.Config, error) {
	e := &environment{get: getenv}
	c := aws.Config{
		Region: e.required(envRegion, "the region, which Lambda sets"),
		Credentials: credentials.NewStaticCredentialsProvider(
			e.required(envKeyID, "the credentials of the function's role, which Lambda sets"),
			e.required(envSecretKey, "the credentials of the function's role, which Lambda sets"), getenv(envSession)),
		HTTPClient: awshttp.NewBuildableClient().
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
			WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = dialTimeout }),
		ConfigSources: []any{endpoints{getenv, e.fips()}},
	}
	if url := getenv(envEndpoint); url != "" {
		c.BaseEndpoint = &url
	}
	return c, e.problem()
}

func (e *environment) fips() aws.FIPSEndpointState {
	v := strings.TrimSpace(e.get(envFIPS))
	if v == "" {
		return aws.FIPSEndpointStateUnset
	}
	on, err := strconv.ParseBool(v)
	if err != nil {
		e.wrong(envFIPS, fmt.Errorf("%q: write true or false", v))
	}
	if on {
		return aws.FIPSEndpointStateEnabled
	}
	return aws.FIPSEndpointStateDisabled
}

// endpoints says where the SDK's clients find their services. The SDK asks it by these
// methods, as it would ask what its package config loads.
type endpoints struct {
	getenv func(string) string
	fips   aws.FIPSEndpointState
}

// GetServiceBaseEndpoint returns where the service of an id of the SDK, such as KMS, is.
func (e endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	url := e.getenv(envEndpoint + "_" + strings.ToUpper(service))
	return url, url != "", nil
}

// GetUseFIPSEndpoint tells whether FIPS endpoints are wanted.
func (e endpoints) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	return e.fips, e.fips != aws.FIPSEndpointStateUnset, nil
}
