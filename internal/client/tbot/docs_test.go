package tbot

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/credentials"
)

// TestDocumentedFile reads the example of docs/client.md.
func TestDocumentedFile(t *testing.T) {
	page, err := os.ReadFile("../../../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(page), "```yaml\nversion: v2\n")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed {
		t.Fatal("docs/client.md has no configuration file")
	}
	config, err := Parse("docs/client.md", []byte("version: v2\n"+example))
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Outputs) != len(credentials.Kinds()) || config.TTL != 30*time.Minute || config.Renewal != 10*time.Minute || len(config.Warnings) > 0 {
		t.Errorf("%+v", config)
	}
}
