package awstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
)

// Region is the one that clients name; DynamoDB Local takes any.
const Region = "eu-central-1"

const startTries = 3

// DynamoDB is a running DynamoDB Local. All clients see the same tables, whatever
// their region and keys.
type DynamoDB struct {
	url     string
	process *process
}

// StartDynamoDB starts a server. Its error wraps ErrUnavailable if it is not installed.
func StartDynamoDB() (*DynamoDB, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	jar, err := tool("dynamodb/DynamoDBLocal-*.jar")
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		s, err := startDynamoDB(java, filepath.Dir(jar))
		if err == nil || try == startTries {
			return s, err
		}
	}
}

// startDynamoDB starts a server on a port that was free a moment ago, and waits until it answers.
func startDynamoDB(java, lib string) (*DynamoDB, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(java,
		// It starts faster and stays smaller so; it never runs for long.
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
		"-Djava.library.path="+lib, "-cp", lib+"/*",
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
		"-inMemory", "-sharedDb", "-disableTelemetry", "-port", port(address))
	cmd.Dir = os.TempDir()
	p, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting DynamoDB Local: %w", err)
	}
	s := &DynamoDB{url: "http://" + address, process: p}
	if err := s.wait(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting DynamoDB Local: %w\n%s", err, p.log.String())
	}
	return s, nil
}

// wait returns when the server answers.
func (s *DynamoDB) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	client := s.Client(func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	for {
		_, err := client.ListTables(ctx, &dynamodb.ListTablesInput{})
		if err == nil {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("it ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no answer after %s: %w", startTimeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// URL is the server's endpoint, such as for AWS_ENDPOINT_URL_DYNAMODB.
func (s *DynamoDB) URL() string { return s.url }

// Client returns a client of the server, made as the service makes its own.
// Options are applied last.
func (s *DynamoDB) Client(options ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamo.NewClient(DynamoDBConfig(s.url), options...)
}

// DynamoDBConfig is the SDK's configuration for a DynamoDB Local at an endpoint.
func DynamoDBConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: &endpoint,
		// Letters and digits only, or DynamoDB Local refuses them.
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
}

// Stop ends the server and returns when it is gone.
func (s *DynamoDB) Stop() { s.process.stop() }
