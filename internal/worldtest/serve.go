package worldtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	log string // the file of its log
}

// ServeOptions is how a server is started.
type ServeOptions struct {
	Flags []string // of gatepassctl serve, beside --data, --listen and --rate-limit 0
	Env   []string // beside that of this process
	Files int      // the limit of open files; 0 leaves it as it is
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
	return StartServeWith(tb, data, ServeOptions{Env: env})
}

// StartServeWith is StartServe with options.
func StartServeWith(tb testing.TB, data string, o ServeOptions) *Serve {
	tb.Helper()
	s := &Serve{Data: data, tb: tb}
	args := append([]string{Binary(tb, "gatepassctl"), "serve", "--data", data, "--listen", "127.0.0.1:0", "--rate-limit", "0"}, o.Flags...)
	if o.Files > 0 {
		args = append([]string{"sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.Itoa(o.Files)}, args...)
	}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Env = append(os.Environ(), o.Env...)
	log, err := os.OpenFile(filepath.Join(tb.TempDir(), "serve.log"), os.O_CREATE|os.O_RDWR, 0o600)
	Must(tb, err)
	s.cmd.Stderr, s.log = log, log.Name()
	stdout, err := s.cmd.StdoutPipe()
	Must(tb, err)
	Must(tb, s.cmd.Start())
	tb.Cleanup(func() {
		s.Stop(syscall.SIGTERM)
		if tb.Failed() {
			log := s.Log()
			tb.Logf("log of serve:\n%s", log[max(0, len(log)-16<<10):])
		}
		log.Close()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		tb.Fatalf("serve did not start: %s", s.Log())
	}
	_, url, ok := strings.Cut(strings.TrimSpace(line), " at ")
	if !ok {
		tb.Fatalf("serve said %q", line)
	}
	s.URL = url
	return s
}

// Log is what the server has logged.
func (s *Serve) Log() string {
	text, err := os.ReadFile(s.log)
	Must(s.tb, err)
	return string(text)
}

// MostMemory is the most resident memory that the server has had, in bytes. It needs Linux.
func (s *Serve) MostMemory() int64 {
	s.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	Must(s.tb, err)
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	text, _, ok := strings.Cut(rest, " kB")
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if !ok || err != nil {
		s.tb.Fatalf("no VmHWM in the status of the server: %v\n%s", err, status)
	}
	return kilobytes << 10
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
