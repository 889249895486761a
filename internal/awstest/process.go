package awstest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// ErrUnavailable says that this machine lacks a tool that `make tools` installs.
var ErrUnavailable = errors.New("not installed: run make tools")

const startTimeout = 60 * time.Second // a busy machine takes several seconds

// process is a child that ends, on Linux, with this process at the latest.
type process struct {
	cmd  *exec.Cmd
	log  logBuffer
	done chan struct{} // closed when it has been waited for
}

// startProcess starts cmd and waits for it in a goroutine that keeps its thread:
// the child is killed at the end of the thread that started it, which without
// the lock can come before the end of this process.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// stop ends the process and its children, and returns when it is gone.
func (p *process) stop() {
	killGroup(p.cmd)
	<-p.done
}

// waitHTTP returns when something answers at url, however it answers.
func (p *process) waitHTTP(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	for end := time.Now().Add(startTimeout); ; {
		resp, err := client.Get(url)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it answered\n%s", filepath.Base(p.cmd.Path), p.log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not answer after %s: %w\n%s", filepath.Base(p.cmd.Path), startTimeout, err, p.log.String())
		}
	}
}

// logBuffer keeps what a process wrote.
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
	return b.buf.String()
}

// freeAddress is a loopback address that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	if _, err := strconv.Atoi(port); err != nil {
		panic(err) // it is a listener's
	}
	return port
}

// root is the folder of the repository.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("this is no folder of a Go module: run the test from its own folder")
		}
		dir = filepath.Dir(dir)
	}
}

// tool finds a file that `make tools` installs below .tools/.
func tool(pattern string) (string, error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, ".tools", pattern))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf(".tools/%s: %w", pattern, errors.Join(ErrUnavailable, err))
	}
	return found[0], nil
}
