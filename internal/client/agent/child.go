package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Exit statuses of a command that did not end by itself, as shells have them
// (POSIX.1-2017, Shell and Utilities, 2.8.2).
const (
	statusNotExecutable = 126
	statusNotFound      = 127
	statusSignal        = 128 // plus the signal's number
)

// Child is a command to run.
type Child struct {
	Args   []string // the command and its arguments; not empty
	Env    []string // its whole environment
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Run runs the command to its end and returns its exit status, 128+n if signal n
// ended it. An error is a command that could not be started.
func (c Child) Run(signals *Signals) (int, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Env = c.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	// Matters only where the three are no files: what a command leaves in the
	// background does not keep us.
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithUs(cmd.SysProcAttr)

	type end struct {
		status int
		err    error
	}
	ended := make(chan end)
	go func() {
		// The kernel's "parent" of PR_SET_PDEATHSIG is the thread that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		status, err := runLocked(cmd, signals)
		ended <- end{status, err}
	}()
	e := <-ended
	return e.status, e.err
}

func runLocked(cmd *exec.Cmd, signals *Signals) (int, error) {
	err := signals.start(func() (*os.Process, error) {
		err := cmd.Start()
		return cmd.Process, err
	})
	if err != nil {
		return 0, notStarted(cmd, err)
	}
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return 0, fmt.Errorf("waiting for %s: %w", cmd.Path, err)
	case status.Signaled():
		return statusSignal + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// notStarted explains, with a shell's exit status.
func notStarted(cmd *exec.Cmd, err error) error {
	name := cmd.Args[0]
	switch {
	case errors.Is(err, ErrInterrupted):
		return err
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return cli.Errorf(statusNotFound, "the command %q is not found", words.Clean(name)).
			Hint("write a program that is in PATH, or its path; for a shell's words write: sh -c '…'")
	}
	return cli.Errorf(statusNotExecutable, "starting the command: %w", err).
		Hint("check that it may be executed by this user, and write ./NAME for a program in this directory")
}
