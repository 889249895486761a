package test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is the folder of the two commands, built once for all tests from this source.
var bin = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gatepass-test-bin-")
	if err != nil {
		return "", err
	}
	binDir = dir
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/gatepass", "./cmd/gatepassctl")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the commands: %w\n%s", err, out)
	}
	return dir, nil
})

var binDir string

func TestMain(m *testing.M) {
	code := m.Run()
	stopLambda()
	if binDir != "" {
		_ = os.RemoveAll(binDir)
	}
	os.Exit(code)
}

func binary(t *testing.T, name string) string {
	t.Helper()
	dir, err := bin()
	must(t, err)
	return filepath.Join(dir, name)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need finds a program. Without it a test is skipped, or in CI fails.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("%s is missing: run make tools", name)
	}
	if err != nil {
		t.Skipf("skipped: %s is missing; run make tools", name)
	}
	return path
}

// output runs a command that must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serve is a running gatepassctl serve.
type serve struct {
	t    *testing.T
	data string
	url  string
	cmd  *exec.Cmd
}

// startServe starts gatepassctl serve on data and a free port.
func startServe(t *testing.T, data string, env ...string) *serve {
	t.Helper()
	s := &serve{t: t, data: data}
	s.cmd = exec.Command(binary(t, "gatepassctl"), "serve", "--data", data, "--listen", "127.0.0.1:0")
	s.cmd.Env = append(os.Environ(), env...)
	log, err := os.OpenFile(filepath.Join(t.TempDir(), "serve.log"), os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	s.cmd.Stderr = log
	stdout, err := s.cmd.StdoutPipe()
	must(t, err)
	must(t, s.cmd.Start())
	t.Cleanup(func() {
		s.stop(syscall.SIGTERM)
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("log of serve:\n%s", text)
		}
		log.Close()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("serve did not start: %s", text)
	}
	_, address, ok := strings.Cut(strings.TrimSpace(line), "http://")
	if !ok {
		t.Fatalf("serve said %q", line)
	}
	s.url = "http://" + address
	return s
}

// stop ends the server by a signal and waits for it. Stopping again does nothing.
func (s *serve) stop(sig syscall.Signal) {
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
		s.t.Error("serve did not stop within 20 s")
	}
}

// ctlCommand is gatepassctl on the server's data.
func ctlCommand(t *testing.T, s *serve, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), binary(t, "gatepassctl"), append(args, "--data", s.data)...)
}

// ctl runs gatepassctl on the server's data; it must succeed.
func (s *serve) ctl(args ...string) string {
	s.t.Helper()
	return output(s.t, binary(s.t, "gatepassctl"), append(args, "--data", s.data)...)
}

// write writes a file of a test.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// within is the time that a command of a test may take.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
