package ssh

import (
	"context"
	"errors"
	"io"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Command is what runs on a host.
type Command struct {
	Line   string // for the login's shell; empty starts the shell itself
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	PTY    *PTY // nil for none
}

// PTY is a terminal on the host.
type PTY struct {
	Term          string
	Width, Height int
	Resized       <-chan [2]int // new width and height; optional
}

// Interrupted is the cause of a context that a signal ended. The command on the
// host is sent the same signal.
type Interrupted struct{ Signal syscall.Signal }

func (i Interrupted) Error() string { return "interrupted by " + unix.SignalName(i.Signal) }

// statusSignal is what shells add a signal's number to (POSIX.1-2017, 2.8.2).
const statusSignal = 128

// grace is how long a command has to end after a signal.
const grace = 3 * time.Second

// Run runs the command and returns its exit status, 128+n if signal n ended it.
// When the context ends the command is sent a signal, then the connection closed.
func (c *Conn) Run(ctx context.Context, command Command) (int, error) {
	// A host that is silent must not keep us after a signal.
	defer context.AfterFunc(ctx, c.hangUp)()
	// Nor must one that opens no session, or never says whether the command began.
	silent := c.heed()
	defer silent.Stop()
	session, err := c.NewSession()
	if err != nil {
		return c.ended(ctx, err)
	}
	defer session.Close()
	session.Stdin, session.Stdout, session.Stderr = command.Stdin, command.Stdout, command.Stderr
	if command.PTY != nil {
		if err := command.PTY.request(session, c.closed); err != nil {
			return 0, err
		}
	}
	if command.Line == "" {
		err = session.Shell()
	} else {
		err = session.Start(command.Line)
	}
	if err != nil {
		return c.ended(ctx, err)
	}
	silent.Stop()
	defer context.AfterFunc(ctx, func() { pass(ctx, session) })()
	return c.ended(ctx, session.Wait())
}

// hangUp closes the connection unless it ends by itself in time.
func (c *Conn) hangUp() {
	select {
	case <-c.closed:
	case <-time.After(grace):
		c.Close()
	}
}

// pass passes a signal on (RFC 4254, section 6.9).
func pass(ctx context.Context, session *ssh.Session) {
	name := ssh.SIGTERM
	var by Interrupted
	if errors.As(context.Cause(ctx), &by) {
		switch by.Signal {
		case unix.SIGINT:
			name = ssh.SIGINT
		case unix.SIGHUP:
			name = ssh.SIGHUP
		case unix.SIGQUIT:
			name = ssh.SIGQUIT
		}
	}
	_ = session.Signal(name)
}

// ended turns the end of a session into an exit status.
func (c *Conn) ended(ctx context.Context, err error) (int, error) {
	var exit *ssh.ExitError
	var by Interrupted
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.Signal() != "":
		// Names are those of signal(7) without SIG; a stranger's own are not known.
		return statusSignal + int(unix.SignalNum("SIG"+exit.Signal())), nil
	case errors.As(err, &exit):
		return asStatus(exit.ExitStatus()), nil
	case errors.As(context.Cause(ctx), &by):
		return statusSignal + int(by.Signal), nil
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	}
	return 0, c.lost(err)
}

// asStatus is a host's exit status as a program can end with it: of the 32 bits that a host sends
// (RFC 4254, section 6.10) a system keeps eight, and 256 would read as done.
func asStatus(status int) int {
	if status < 0 || status > int(StatusConnection) {
		return int(StatusConnection)
	}
	return status
}

// lost is a connection that broke off: whether the command ran to its end is not known.
func (c *Conn) lost(err error) error {
	if broken := c.Broken(); broken != nil {
		err = broken
	}
	var missing *ssh.ExitMissingError
	if errors.As(err, &missing) {
		err = errors.New("it closed the session without an exit status")
	}
	return cli.Errorf(StatusConnection, "the connection to the host broke off: %s", words.Clean(err.Error())).
		Hint("whether the command ended is not known; run it again if it can be run twice")
}

// request asks for the terminal, and tells of new sizes until done.
func (p *PTY) request(session *ssh.Session, done <-chan struct{}) error {
	if err := session.RequestPty(p.Term, p.Height, p.Width, ssh.TerminalModes{}); err != nil {
		return cli.Errorf(StatusConnection, "the host gives no terminal: %s", words.Clean(err.Error())).
			Hint("leave out -t, or have the option permit_pty in every role of the bot that grants the login")
	}
	go func() {
		for {
			select {
			case size := <-p.Resized:
				_ = session.WindowChange(size[1], size[0])
			case <-done:
				return
			}
		}
	}()
	return nil
}
