package awstest_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/gatepass-ci/gatepass/internal/awstest"
)

func TestStart(t *testing.T) {
	server, err := awstest.StartDynamoDB()
	if errors.Is(err, awstest.ErrUnavailable) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	names, err := awstest.NewTables(t.Context(), server.Client())
	if err != nil {
		t.Fatal(err)
	}
	list := func(options ...func(*dynamodb.Options)) (int, error) {
		out, err := server.Client(options...).ListTables(t.Context(), &dynamodb.ListTablesInput{})
		if err != nil {
			return 0, err
		}
		return len(out.TableNames), nil
	}
	// A program under test has a region of its own.
	if n, err := list(func(o *dynamodb.Options) { o.Region = "us-east-1" }); err != nil || n != 3 {
		t.Errorf("a client of another region sees %d tables, %v; want 3", n, err)
	}
	if err := awstest.CreateTables(t.Context(), server.Client(), names); err == nil {
		t.Error("tables that exist were created")
	}
	server.Stop()
	server.Stop()
	if _, err := list(); err == nil {
		t.Error("the server answers after Stop")
	}
}

func TestNotInstalled(t *testing.T) {
	t.Run("DynamoDB Local", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Chdir(dir)
		if _, err := awstest.StartDynamoDB(); !errors.Is(err, awstest.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
	t.Run("Java", func(t *testing.T) {
		t.Setenv("PATH", "")
		if _, err := awstest.StartDynamoDB(); !errors.Is(err, awstest.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
}

// TestProxy has a client that does not understand what the proxy does.
func TestProxy(t *testing.T) {
	proxy, err := awstest.NewProxy("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	resp, err := http.Post(proxy.URL(), "application/cbor", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a request that is no JSON: %s", resp.Status)
	}
}
