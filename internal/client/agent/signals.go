package agent

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// passed are the signals that the child gets too. Those of job control stop and
// continue the whole process group by themselves.
var passed = [...]os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2}

// ErrInterrupted says that a signal came before there was a child to pass it to.
var ErrInterrupted = errors.New("interrupted before the command was started")

// Signals catches signals for a child, from before it is started, so that none
// ends this process before it has cleaned up.
type Signals struct {
	caught chan os.Signal
	done   chan struct{}
	cancel context.CancelFunc

	mu    sync.Mutex
	early syscall.Signal // the first that came before the child; zero if none
	child *os.Process
}

// CatchSignals begins to. The context ends at the first signal that comes before
// the child.
func CatchSignals(ctx context.Context) (context.Context, *Signals) {
	s := &Signals{caught: make(chan os.Signal, 16), done: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	for _, sig := range passed {
		// What nohup ignores stays ignored, here and in the child.
		if !signal.Ignored(sig) {
			signal.Notify(s.caught, sig)
		}
	}
	// A write to a closed pipe must be an error, not the end before the clean-up.
	// Not signal.Ignore, which the child would inherit.
	signal.Notify(s.caught, unix.SIGPIPE)
	go s.loop()
	return ctx, s
}

// Stop ends the catching.
func (s *Signals) Stop() {
	signal.Stop(s.caught)
	close(s.done)
	s.cancel()
}

// Early is the exit status for a signal that came before the child, zero if none did.
func (s *Signals) Early() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early == 0 {
		return 0
	}
	return statusSignal + int(s.early)
}

func (s *Signals) loop() {
	for {
		select {
		case sig := <-s.caught:
			if sig != unix.SIGPIPE {
				s.handle(sig)
			}
		case <-s.done:
			return
		}
	}
}

func (s *Signals) handle(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.child == nil:
		if number, ok := sig.(syscall.Signal); ok && s.early == 0 {
			s.early = number
		}
		s.cancel()
	case (sig == unix.SIGINT || sig == unix.SIGQUIT) && inForeground():
		// The terminal sends these to the whole group: the child has it already.
	default:
		// The child may have ended just now; then there is nobody to tell.
		_ = s.child.Signal(sig)
	}
}

// start starts the child, unless a signal came first.
func (s *Signals) start(start func() (*os.Process, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.early != 0 {
		return ErrInterrupted
	}
	child, err := start()
	s.child = child
	return err
}

// inForeground reports whether a terminal sends its signals to our process group.
func inForeground() bool {
	for fd := range 3 {
		if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil {
			return group == unix.Getpgrp()
		}
	}
	return false
}
