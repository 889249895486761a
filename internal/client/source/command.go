package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// maxCommandOutput bounds what a command may print; an ID token is far shorter.
const maxCommandOutput = 64 << 10

// RunCommand runs commands for a Finder, with this process's environment. What a
// command prints is a secret: it is in no error. Its stderr is shown, since CI tools
// explain themselves there, unless a token is in it.
func RunCommand(stderr io.Writer) func(context.Context, string, ...string) ([]byte, error) {
	return func(ctx context.Context, name string, args ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		var out, complaints bytes.Buffer
		command := exec.CommandContext(ctx, name, args...)
		command.Stdout, command.Stderr = &out, &complaints
		command.WaitDelay = time.Second
		err := command.Run()
		if err != nil && !bytes.Contains(complaints.Bytes(), []byte("eyJ")) && complaints.Len() > 0 {
			fmt.Fprintf(stderr, "%s: %s\n", name, words.Clean(complaints.String()))
		}
		if out.Len() > maxCommandOutput {
			return nil, fmt.Errorf("%s printed more than %d bytes", name, maxCommandOutput)
		}
		return out.Bytes(), err
	}
}
