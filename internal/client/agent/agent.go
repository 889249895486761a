// Package agent runs a command with credentials that are there only while it runs:
// a private folder, the environment that names them, signals passed on, and
// everything gone afterwards. An SSH key is in no file: an ssh-agent for that one
// certificate signs with it and gives it to nobody, takes no other, and forgets it
// when its time is up.
package agent

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Identity is a key and its certificate.
type Identity struct {
	Key         crypto.Signer
	Certificate *ssh.Certificate
	Comment     string
	Expires     time.Time
}

// Signer signs as the certificate's holder.
func (id Identity) Signer() (ssh.Signer, error) {
	signer, err := ssh.NewSignerFromSigner(id.Key)
	if err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(id.Certificate, signer)
}

// errRefused is the answer to everything but listing and signing. The protocol
// carries no reason (draft-ietf-sshm-ssh-agent, section 3.1).
var errRefused = errors.New("this agent serves one certificate and takes no orders")

// keyring is the agent's one key, read only.
type keyring struct {
	now     func() time.Time
	expires time.Time
	shown   agent.Key

	mu     sync.Mutex
	signer ssh.Signer // nil once forgotten
}

var _ agent.ExtendedAgent = (*keyring)(nil)

func newKeyring(id Identity, now func() time.Time) (*keyring, error) {
	signer, err := id.Signer()
	if err != nil {
		return nil, err
	}
	public := signer.PublicKey()
	return &keyring{
		now:     now,
		expires: id.Expires,
		shown:   agent.Key{Format: public.Type(), Blob: public.Marshal(), Comment: id.Comment},
		signer:  signer,
	}, nil
}

// open returns the signer while the certificate holds.
func (k *keyring) open() ssh.Signer {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.now().Before(k.expires) {
		k.signer = nil
	}
	return k.signer
}

func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signer = nil
}

// List shows the certificate, and nothing after its end.
func (k *keyring) List() ([]*agent.Key, error) {
	if k.open() == nil {
		return nil, nil
	}
	shown := k.shown
	return []*agent.Key{&shown}, nil
}

// Sign signs as the certificate's holder.
func (k *keyring) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	signer := k.open()
	if signer == nil || !bytes.Equal(key.Marshal(), k.shown.Blob) {
		return nil, errRefused
	}
	return signer.Sign(rand.Reader, data)
}

// SignWithFlags is Sign: the flags choose among the hashes of RSA, which the key is not.
func (k *keyring) SignWithFlags(key ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return k.Sign(key, data)
}

// Signers would hand out the key to a caller in this process; nobody needs it.
func (k *keyring) Signers() ([]ssh.Signer, error) { return nil, errRefused }

// Add is refused, as is every other change.
func (k *keyring) Add(agent.AddedKey) error { return errRefused }

// Remove is refused.
func (k *keyring) Remove(ssh.PublicKey) error { return errRefused }

// RemoveAll is refused: ssh-add -D in a script must not end the job's logins.
func (k *keyring) RemoveAll() error { return errRefused }

// Lock is refused.
func (k *keyring) Lock([]byte) error { return errRefused }

// Unlock is refused.
func (k *keyring) Unlock([]byte) error { return errRefused }

// Extension knows none. ssh(1) asks for session-bind@openssh.com and goes on without.
func (k *keyring) Extension(string, []byte) ([]byte, error) {
	return nil, agent.ErrExtensionUnsupported
}

// Server is an agent that listens.
type Server struct {
	keys     *keyring
	listener net.Listener

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// Listen serves the identity on a socket at path. What keeps others away is the
// directory: it must be the caller's own, with mode 0700.
func Listen(path string, id Identity, now func() time.Time) (*Server, error) {
	keys, err := newKeyring(id, now)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	s := &Server{keys: keys, listener: listener, conns: make(map[net.Conn]struct{})}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of file descriptors, for now
			continue
		}
		if !s.track(conn) {
			conn.Close()
			return
		}
		s.wg.Go(func() {
			defer s.untrack(conn)
			// An error is a client that broke off; there is nobody to tell.
			_ = agent.ServeAgent(s.keys, conn)
		})
	}
}

func (s *Server) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) untrack(conn net.Conn) {
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	conn.Close()
}

// Close forgets the key, removes the socket and breaks off every connection.
func (s *Server) Close() error {
	s.keys.forget()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close()
	s.wg.Wait()
	return err
}

// reach connects to the agent that listens on socket, which then has so long to answer.
func reach(socket string, patience time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(patience))
}

// AddTo hands the identity to the agent that listens on socket, until it expires.
// An agent that keeps no time is an error: the key would outlive the job.
func AddTo(socket string, id Identity, now time.Time) error {
	conn, err := reach(socket, 30*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	left := int64(id.Expires.Sub(now) / time.Second)
	if left < 1 {
		return errors.New("the certificate has expired")
	}
	return agent.NewClient(conn).Add(agent.AddedKey{
		PrivateKey: id.Key, Certificate: id.Certificate, Comment: id.Comment,
		LifetimeSecs: uint32(min(left, 1<<31)),
	})
}

// Probe asks the agent that listens on socket for its keys, before an ID token is
// spent on one that does not answer.
func Probe(socket string) error {
	conn, err := reach(socket, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = agent.NewClient(conn).List()
	return err
}
