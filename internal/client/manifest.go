package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// manifest is the file in each set that says what it is. Nothing in it is secret.
type manifest struct {
	JoinID    string    `json:"join_id"`
	Bot       string    `json:"bot"`
	Type      string    `json:"type"`
	ExpiresAt time.Time `json:"expires_at"`
	Files     []string  `json:"files"`
}

func newManifest(report *Report, written WrittenOutput) (destination.File, error) {
	data, err := json.MarshalIndent(manifest{
		JoinID:    report.JoinID,
		Bot:       report.Bot,
		Type:      written.Type,
		ExpiresAt: written.ExpiresAt,
		Files:     written.Files,
	}, "", "  ")
	if err != nil {
		return destination.File{}, fmt.Errorf("encoding %s: %w", destination.ManifestName, err)
	}
	return destination.File{Name: destination.ManifestName, Data: append(data, '\n')}, nil
}

func clean(values []string) []string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = failure.Clean(value)
	}
	return out
}

// maxCommandOutput bounds what a command may print; an ID token is far shorter.
const maxCommandOutput = 64 << 10

// runCommand returns what a command prints. Its stdout is a secret: it is in
// no error. Its stderr goes to ours, unless a token is in it.
func runCommand(ctx context.Context, stderr io.Writer, env []string, name string, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var out, complaints bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Env = env
	command.Stdout, command.Stderr = &out, &complaints
	command.WaitDelay = time.Second
	err := command.Run()
	if err != nil && !bytes.Contains(complaints.Bytes(), []byte("eyJ")) && complaints.Len() > 0 {
		fmt.Fprintf(stderr, "%s: %s\n", name, failure.Clean(complaints.String()))
	}
	if out.Len() > maxCommandOutput {
		return nil, fmt.Errorf("%s printed more than %d bytes", name, maxCommandOutput)
	}
	return out.Bytes(), err
}
