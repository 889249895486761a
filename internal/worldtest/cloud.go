package worldtest

import (
	"context"
	"errors"
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

// Cloud is AWS: DynamoDB Local for tables, moto for KMS and CloudFormation, and the functions
// as they are deployed, under Lambda's runtime interface emulator. What template.yaml
// itself makes is tested in test/deploy_test.go; a stack of a Cloud has its outputs, and is
// made in a moment.
type Cloud struct {
	Moto     *awstest.Moto
	DynamoDB *awstest.DynamoDB

	dir       string
	mu        sync.Mutex
	functions map[string]string // the bootstraps that are built
}

// StartCloud starts a cloud. Its error wraps awstest.ErrUnavailable if what it needs is not
// installed.
func StartCloud() (*Cloud, error) {
	c := &Cloud{functions: make(map[string]string)}
	if err := c.start(); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cloud) start() (err error) {
	if c.dir, err = os.MkdirTemp("", "gatepass-cloud-"); err != nil {
		return err
	}
	if c.Moto, err = awstest.StartMoto(); err != nil {
		return err
	}
	c.DynamoDB, err = awstest.StartDynamoDB()
	return err
}

// NeedCloud is StartCloud for one test. Without what it needs the test is skipped, or in
// CI fails.
func NeedCloud(tb testing.TB) *Cloud {
	tb.Helper()
	c, err := StartCloud()
	Needed(tb, err)
	tb.Cleanup(c.Stop)
	return c
}

// shared is the cloud of all tests of a program, once one has asked for it. Main stops it.
var (
	shared      *Cloud
	startShared = sync.OnceValue(func() (err error) {
		shared, err = StartCloud()
		return err
	})
)

// SharedCloud is one cloud for all tests of a program, which has called Main.
func SharedCloud(tb testing.TB) *Cloud {
	tb.Helper()
	Needed(tb, startShared())
	return shared
}

// Needed skips a test whose tools are not installed, or in CI fails it.
func Needed(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, awstest.ErrUnavailable) && os.Getenv("CI") == "" {
		tb.Skipf("skipped: %v", err)
	}
	Must(tb, err)
}

// Function is the bootstrap of functions/NAME, which is built once.
func (c *Cloud) Function(name string) (bootstrap string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if built := c.functions[name]; built != "" {
		return built, nil
	}
	if bootstrap, err = awstest.Build(context.Background(), c.dir, name); err == nil {
		c.functions[name] = bootstrap
	}
	return bootstrap, err
}

// Replace has functions/NAME be another program from now on, such as one that starts it with a limit.
func (c *Cloud) Replace(name, bootstrap string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.functions[name] = bootstrap
}

// Stop ends all of it, and every stack with it.
func (c *Cloud) Stop() {
	if c.Moto != nil {
		c.Moto.Stop()
	}
	if c.DynamoDB != nil {
		c.DynamoDB.Stop()
	}
	_ = os.RemoveAll(c.dir)
}

// Config is the SDK's for a service of AWS.
func (c *Cloud) Config() aws.Config {
	endpoint := c.Moto.URL()
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
	return []string{"AWS_ENDPOINT_URL=" + c.Moto.URL(), "AWS_ENDPOINT_URL_DYNAMODB=" + c.DynamoDB.URL(), "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region}
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
