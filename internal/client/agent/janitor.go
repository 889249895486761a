package agent

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

// JanitorCommand is the name of gatepass's own command that [Sweep] is.
const JanitorCommand = "exec-janitor"

// janitor is a second process that removes a folder when the first one ends, even
// by SIGKILL. What tells it is a pipe of which only the first has the other end.
type janitor struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

// startJanitor starts this program for the folder. It gets nothing of
// the environment, where the ID token may be.
func startJanitor(folder string) (*janitor, error) {
	executable, err := executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable, JanitorCommand, folder)
	cmd.Env = []string{}
	cmd.Dir = "/"
	// In a session of its own, what is typed at the terminal and what is sent to
	// the job's process group does not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &janitor{cmd: cmd, pipe: pipe}, nil
}

// close lets the janitor do its work and waits for it.
func (j *janitor) close() error {
	_ = j.pipe.Close()
	return j.cmd.Wait()
}

// Sweep is the janitor: it waits until stdin ends, then removes the folder.
func Sweep(stdin io.Reader, path string) error {
	_, _ = io.Copy(io.Discard, stdin)
	return removeFolder(path)
}

// executable is the path of this program, also when its file was replaced or removed.
func executable() (string, error) {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self, nil
	}
	return os.Executable()
}
