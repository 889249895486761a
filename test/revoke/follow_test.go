package revoke

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// TestFollow has gatepassctl joins ls --follow print joins as they come, each once,
// and end when it is interrupted.
func TestFollow(t *testing.T) {
	t.Parallel()
	w := local(t)
	before, err := w.ask("example-bot")
	worldtest.Must(t, err)
	cmd := w.CtlCommand("joins", "ls", "--follow", "--format", "json")
	lines, ended := followed(t, cmd)
	expect := func(want answer) {
		t.Helper()
		select {
		case line := <-lines:
			var r struct {
				JoinID string `json:"join_id"`
				Code   string `json:"code"`
			}
			worldtest.Must(t, json.Unmarshal([]byte(line), &r))
			if r.JoinID != want.id || r.Code != want.code {
				t.Errorf("got %s %s, want %+v", r.JoinID, r.Code, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("the join %+v is not printed", want)
		}
	}
	expect(before)
	w.Ctl("lock", "bot", "other")
	for _, rule := range []string{"example-bot", "other-bot", "example-bot"} {
		a, err := w.ask(rule)
		worldtest.Must(t, err)
		expect(a)
	}
	worldtest.Must(t, cmd.Process.Signal(syscall.SIGINT))
	if err := <-ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
	if line, more := <-lines; more {
		t.Errorf("printed once more: %s", line)
	}
}

// followed starts a command whose output is lines, and which ends at some time.
func followed(t *testing.T, cmd *exec.Cmd) (<-chan string, <-chan error) {
	t.Helper()
	out, in := io.Pipe()
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = in, &errs
	worldtest.Must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		_ = in.Close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Log(errs.String())
		}
	})
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines, ended
}
