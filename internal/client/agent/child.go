package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
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

// Check says why the command could not be started, as far as that can be told without
// starting it: so no ID token is spent on a slip.
func (c Child) Check() error {
	cmd := &exec.Cmd{Args: c.Args}
	file, err := exec.LookPath(c.Args[0])
	if err != nil {
		return notStarted(cmd, err)
	}
	head, err := beginning(file)
	if err != nil {
		return nil // it may be for execution alone, and then it is no script
	}
	line, isScript := strings.CutPrefix(head, "#!")
	if isScript {
		line, _, _ = strings.Cut(line, "\n")
		return checkInterpreter(file, line)
	}
	if strings.Contains(head, "\x00") {
		return nil // a program: every format of one has zero bytes at its beginning
	}
	return cli.Errorf(statusNotExecutable, "the command %q is a text without a first line such as #!/bin/sh", words.Clean(file)).
		Hint("write that line, or name the program that reads it: sh %s", words.ShellWord(c.Args[0]))
}

// beginning is what a kernel looks at to know how a file is run.
func beginning(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 256) // BINPRM_BUF_SIZE of Linux
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return string(head[:n]), err
}

// checkInterpreter looks for the program that a script's first line names.
func checkInterpreter(script, line string) error {
	command := strings.Split(strings.Trim(line, " \t"), " ")
	_, err := exec.LookPath(command[0])
	if path.IsAbs(command[0]) && path.Base(command[0]) == "env" && err == nil && len(command) == 2 {
		command = command[1:]
		_, err = exec.LookPath(command[0])
	}
	if err == nil || errors.Is(err, exec.ErrDot) {
		return nil
	}
	e := cli.Errorf(statusNotFound, "the command %q is a script for %q, which is not found", words.Clean(script), words.Visible(command[0]))
	if strings.HasSuffix(line, "\r") {
		return e.Hint("its lines end as on Windows; save it with the line ends of Unix")
	}
	return e.Hint("install that program, or correct the script's first line")
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
