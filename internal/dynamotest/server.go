package dynamotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
)

// ErrUnavailable says that this machine lacks Java or DynamoDB Local.
var ErrUnavailable = errors.New("DynamoDB Local is not installed: run make tools")

const (
	// Region is the one that clients name; DynamoDB Local takes any.
	Region = "eu-central-1"

	startTries   = 3
	startTimeout = 60 * time.Second // a busy machine takes several seconds
)

// Server is a running DynamoDB Local. All clients see the same tables, whatever
// their region and keys.
type Server struct {
	url     string
	process *process
}

// Start starts a server. Its error wraps ErrUnavailable if it is not installed.
func Start() (*Server, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	lib, err := library()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		s, err := start(java, lib)
		if err == nil || try == startTries {
			return s, err
		}
	}
}

// library is the folder with the server's classes, .tools/dynamodb of this repository.
func library() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("this is no folder of a Go module: run the test from its own folder")
		}
		dir = parent
	}
	lib := filepath.Join(dir, ".tools", "dynamodb")
	if found, err := filepath.Glob(filepath.Join(lib, "DynamoDBLocal-*.jar")); err != nil || len(found) == 0 {
		return "", fmt.Errorf("%w: there is no DynamoDBLocal-*.jar in %s", ErrUnavailable, lib)
	}
	return lib, nil
}

// start starts a server on a port that was free a moment ago, and waits until it answers.
func start(java, lib string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	var log logBuffer
	cmd := exec.Command(java,
		// It starts faster and stays smaller so; it never runs for long.
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
		"-Djava.library.path="+lib, "-cp", lib+"/*",
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
		"-inMemory", "-sharedDb", "-disableTelemetry", "-port", strconv.Itoa(port))
	cmd.Dir = os.TempDir()
	cmd.Stdout, cmd.Stderr = &log, &log
	p, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("starting DynamoDB Local: %w", err)
	}
	s := &Server{url: "http://127.0.0.1:" + strconv.Itoa(port), process: p}
	if err := s.wait(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting DynamoDB Local: %w\n%s", err, log.String())
	}
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// wait returns when the server answers.
func (s *Server) wait() error {
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
			return fmt.Errorf("it ended: %w", errors.Join(s.process.err, err))
		case <-ctx.Done():
			return fmt.Errorf("no answer after %s: %w", startTimeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// URL is the server's endpoint, such as for AWS_ENDPOINT_URL_DYNAMODB.
func (s *Server) URL() string { return s.url }

// Client returns a client of the server, made as the service makes its own.
// Options are applied last.
func (s *Server) Client(options ...func(*dynamodb.Options)) *dynamodb.Client {
	return dynamo.NewClient(Config(s.url), options...)
}

// Config is the SDK's configuration for a DynamoDB Local at an endpoint.
func Config(endpoint string) aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: &endpoint,
		// Letters and digits only, or DynamoDB Local refuses them.
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
}

// Stop ends the server and returns when it is gone.
func (s *Server) Stop() { s.process.kill() }

// logBuffer keeps what the server wrote.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.buf.String())
}
