package stacktest

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/gatepass-ci/gatepass/internal/awstest"
)

const (
	region    = "eu-central-1"
	accessKey = "local" // of whoever calls
)

// Cloud is AWS.
type Cloud struct {
	moto   *awstest.Moto
	dynamo *awstest.DynamoDB
	join   func() (bootstrap string, err error)
	dir    string
}

// Start starts a cloud. Its error wraps awstest.ErrUnavailable or
// awstest.ErrUnavailable if what it needs is not installed.
func Start() (*Cloud, error) {
	c := &Cloud{}
	if err := c.start(); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cloud) start() (err error) {
	c.join = sync.OnceValues(func() (string, error) { return awstest.Build(context.Background(), c.dir, "join") })
	if c.dir, err = os.MkdirTemp("", "gatepass-cloud-"); err != nil {
		return err
	}
	if c.moto, err = awstest.StartMoto(); err != nil {
		return err
	}
	c.dynamo, err = awstest.StartDynamoDB()
	return err
}

// Need is Start for a test. Without what it needs the test is skipped, or in CI fails.
func Need(tb testing.TB) *Cloud {
	tb.Helper()
	c, err := Start()
	switch {
	case err != nil && (os.Getenv("CI") != "" || !unavailable(err)):
		tb.Fatal(err)
	case err != nil:
		tb.Skipf("skipped: %v; run make tools", err)
	}
	tb.Cleanup(c.Stop)
	return c
}

// Stop ends all of it, and every stack with it.
func (c *Cloud) Stop() {
	if c.moto != nil {
		c.moto.Stop()
	}
	if c.dynamo != nil {
		c.dynamo.Stop()
	}
	_ = os.RemoveAll(c.dir)
}

// Config is the SDK's for a service of AWS.
func (c *Cloud) Config() aws.Config {
	endpoint := c.moto.URL()
	return aws.Config{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider(accessKey, accessKey, "")}
}

// Env is the environment by which commands find this AWS, without what of the
// surroundings would lead them to another one.
func (c *Cloud) Env() []string {
	return append(c.environ(),
		"AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+accessKey,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true")
}

// environ is where AWS is.
func (c *Cloud) environ() []string {
	return []string{"AWS_ENDPOINT_URL=" + c.moto.URL(), "AWS_ENDPOINT_URL_DYNAMODB=" + c.dynamo.URL(), "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region}
}

// clean is the environment of this process without AWS's and ours.
func clean() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "GATEPASS_") {
			env = append(env, v)
		}
	}
	return env
}
