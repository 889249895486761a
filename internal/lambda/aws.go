package lambda

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// dialTimeout bounds a connection: AWS's endpoints are near, and an attempt that is
// lost should leave time for another. How long a call may take is its client's matter.
const dialTimeout = 2 * time.Second

// AWSConfig loads the SDK's configuration: region and credentials from the
// environment that Lambda sets, endpoints from AWS_ENDPOINT_URL_* if there are any.
func AWSConfig(ctx context.Context) (aws.Config, error) {
	client := awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout }).
		WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = dialTimeout })
	return config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
}
