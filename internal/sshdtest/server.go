package sshdtest

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/crypto/ssh"
)

// ErrUnavailable says that this machine cannot run the server asked for. The error
// that wraps it gives the reason in words fit for a person.
var ErrUnavailable = errors.New("a test sshd is not available here")

// Server is a running SSH server.
type Server struct {
	software string
	addr     string
	pid      int
	hostKey  ssh.PublicKey
	log      *logBuffer

	stop     func() error
	stopOnce sync.Once
	stopErr  error
}

// Software is the path of sshd.
func (s *Server) Software() string { return s.software }

// Addr is the server's address, "127.0.0.1:PORT".
func (s *Server) Addr() string { return s.addr }

// PID is sshd's process id, as seen from outside its namespace.
func (s *Server) PID() int { return s.pid }

// HostKey is the public key that the server proves itself by.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKey }

// Log returns what the server has logged so far, one event on each line.
func (s *Server) Log() string { return s.log.String() }

// WaitLog waits until the log contains text: a client can know of a refusal before
// the server has written why. Its error, when ctx ends first, carries the log.
func (s *Server) WaitLog(ctx context.Context, text string) error { return s.log.wait(ctx, text) }

// Close ends the server and every process started through it, and removes its files.
// Closing again does nothing and returns the first result.
func (s *Server) Close() error {
	s.stopOnce.Do(func() { s.stopErr = s.stop() })
	return s.stopErr
}

// closeWith closes the server when ctx ends, unless it is closed before.
func (s *Server) closeWith(ctx context.Context) {
	stop := s.stop
	unregister := context.AfterFunc(ctx, func() { _ = s.Close() })
	s.stop = func() error {
		unregister()
		return stop()
	}
}
