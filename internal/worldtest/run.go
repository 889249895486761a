package worldtest

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Ran is how a command ended.
type Ran struct {
	Status         int
	Stdout, Stderr string

	command string
}

// Run runs a command, whatever it comes to.
func Run(tb testing.TB, cmd *exec.Cmd) Ran {
	tb.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	command := filepath.Base(cmd.Path) + " " + strings.Join(cmd.Args[1:], " ")
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		tb.Fatalf("%s: %v", command, err)
	}
	return Ran{Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String(), command: command}
}

// OK fails the test unless the command succeeded; it returns standard output.
func (r Ran) OK(tb testing.TB) string {
	tb.Helper()
	if r.Status != 0 {
		tb.Fatalf("%s: exit status %d\n%s%s", r.command, r.Status, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Failed fails the test unless the command ended with the status and says the words on
// standard error.
func (r Ran) Failed(tb testing.TB, status int, words ...string) {
	tb.Helper()
	if r.Status != status {
		tb.Errorf("%s: exit status %d, want %d\n%s%s", r.command, r.Status, status, r.Stdout, r.Stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.Stderr, word) {
			tb.Errorf("%s: standard error lacks %q:\n%s", r.command, word, r.Stderr)
		}
	}
}
