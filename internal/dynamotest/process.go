package dynamotest

import (
	"os/exec"
	"runtime"
	"time"
)

// process is a child that ends, on Linux, with this process at the latest.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has been waited for
	err  error         // of Wait; set before done is closed
}

// startProcess starts cmd and waits for it in a goroutine that keeps its thread:
// the child is killed at the end of the thread that started it, which without
// the lock can come before the end of this process.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.WaitDelay = 5 * time.Second
	dieWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the process and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}
