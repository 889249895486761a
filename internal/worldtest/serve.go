package worldtest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
)

// Serve is a running gatepassctl serve.
type Serve struct {
	Data string // its data directory
	URL  string // where it listens, on loopback

	tb  testing.TB
	cmd *exec.Cmd
}

// Begin makes the data directory of a service that never ran, for commands that need none.
func Begin(tb testing.TB, data string) {
	tb.Helper()
	store, err := sqlite.Open(tb.Context(), data, sqlite.Options{})
	Must(tb, err)
	Must(tb, store.Close())
}

// StartServe starts gatepassctl serve on a data directory and a free port. It is
// stopped when the test ends; of a test that failed its log is shown.
func StartServe(tb testing.TB, data string, env ...string) *Serve {
	tb.Helper()
	s := &Serve{Data: data, tb: tb}
	s.cmd = exec.Command(Binary(tb, "gatepassctl"), "serve", "--data", data, "--listen", "127.0.0.1:0", "--rate-limit", "0")
	s.cmd.Env = append(os.Environ(), env...)
	log, err := os.OpenFile(filepath.Join(tb.TempDir(), "serve.log"), os.O_CREATE|os.O_RDWR, 0o600)
	Must(tb, err)
	s.cmd.Stderr = log
	stdout, err := s.cmd.StdoutPipe()
	Must(tb, err)
	Must(tb, s.cmd.Start())
	tb.Cleanup(func() {
		s.Stop(syscall.SIGTERM)
		if tb.Failed() {
			text, _ := os.ReadFile(log.Name())
			tb.Logf("log of serve:\n%s", text)
		}
		log.Close()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		tb.Fatalf("serve did not start: %s", text)
	}
	_, address, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if !ok {
		tb.Fatalf("serve said %q", line)
	}
	s.URL = "http://" + address
	return s
}

// Stop ends the server by a signal and waits for it. Stopping again does nothing.
func (s *Serve) Stop(sig syscall.Signal) {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
		s.tb.Error("serve did not stop within 20 s")
	}
}

// Ctl runs gatepassctl on the server's data; it must succeed.
func (s *Serve) Ctl(args ...string) string {
	s.tb.Helper()
	return Output(s.tb, Binary(s.tb, "gatepassctl"), append(args, "--data", s.Data)...)
}

// CtlCommand is gatepassctl on the server's data, to be run.
func (s *Serve) CtlCommand(args ...string) *exec.Cmd {
	s.tb.Helper()
	return exec.CommandContext(s.tb.Context(), Binary(s.tb, "gatepassctl"), append(args, "--data", s.Data)...)
}
