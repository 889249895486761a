package sshdtest

import (
	"os/exec"
	"runtime"
	"time"
)

// process is a child that ends with this process at the latest.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has been waited for
	err  error         // of Wait; set before done is closed
}

// startProcess starts cmd and waits for it in a goroutine that keeps the thread it
// was started from: Pdeathsig fires at the end of that thread, which without the
// lock can come before the end of this process.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.WaitDelay = 5 * time.Second
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

// exited returns how the process ended, if it has.
func (p *process) exited() (err error, exited bool) {
	select {
	case <-p.done:
		return p.err, true
	default:
		return nil, false
	}
}

// kill ends the process and returns when it is gone.
func (p *process) kill() error {
	if _, exited := p.exited(); exited {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil {
		if _, exited := p.exited(); !exited {
			return err
		}
	}
	<-p.done
	return nil
}
