package ssh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// StatusConnection is the exit status when there was no session, as ssh(1) has it.
const StatusConnection cli.Exit = 255

// Config says how to log in.
type Config struct {
	Signer   ssh.Signer // of a certificate
	HostKeys HostKeys
	// Jumps are passed through one after another, each checked like a destination.
	Jumps     []Target
	Timeout   time.Duration // to connect to and to log in at one host
	KeepAlive time.Duration // between two questions whether the host is there; zero asks never
	// Patience is how long a host may be silent where it has to answer: before a command begins,
	// and while files are copied. Zero means five minutes.
	Patience time.Duration
	Version  string
}

// Certificate is what the signer shows.
func (c Config) Certificate() (*ssh.Certificate, bool) {
	cert, ok := c.Signer.PublicKey().(*ssh.Certificate)
	return cert, ok
}

// maxUnanswered is how many questions may stay unanswered before a connection counts as broken.
const maxUnanswered = 3

// Conn is a login on a host.
type Conn struct {
	*ssh.Client
	through []*ssh.Client   // jump hosts, the first one first
	passed  []ssh.PublicKey // their keys

	patience time.Duration

	closing sync.Once
	closed  chan struct{}
	mu      sync.Mutex
	broken  error
}

// Dial logs in at the target. The context is only for that.
func (c Config) Dial(ctx context.Context, target Target) (*Conn, error) {
	conn := &Conn{closed: make(chan struct{}), patience: cmp.Or(c.Patience, 5*time.Minute)}
	for _, jump := range c.Jumps {
		client, key, err := c.hop(ctx, conn, jump, true)
		if err != nil {
			conn.Close()
			return nil, err
		}
		conn.through, conn.passed = append(conn.through, client), append(conn.passed, key)
	}
	client, _, err := c.hop(ctx, conn, target, false)
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.Client = client
	if c.KeepAlive > 0 {
		go conn.keepAlive(c.KeepAlive)
	}
	return conn, nil
}

func (c *Conn) last() *ssh.Client {
	if len(c.through) == 0 {
		return nil
	}
	return c.through[len(c.through)-1]
}

// hop connects and logs in, directly or through the hosts before it, and returns the host's key too.
func (c Config) hop(ctx context.Context, before *Conn, target Target, jump bool) (*ssh.Client, ssh.PublicKey, error) {
	through, passed := before.last(), before.passed
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	raw, err := connect(ctx, through, target.Address())
	if err != nil {
		return nil, nil, notReached(ctx, through, target, err)
	}
	// A connection through another host knows no deadlines; closing works for both.
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	var (
		refused error
		shown   ssh.PublicKey
	)
	config := &ssh.ClientConfig{
		User: target.User,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(c.Signer)},
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			if shown == nil { // not again when keys are exchanged anew
				shown = plainKey(key)
			}
			refused = c.HostKeys.check(address, remote, key, jump, passed)
			return refused
		},
		HostKeyAlgorithms: c.HostKeys.algorithms(target.Address()),
		ClientVersion:     "SSH-2.0-gatepass_" + c.Version,
	}
	conn, channels, requests, err := ssh.NewClientConn(raw, target.Address(), config)
	if err == nil && !stop() {
		conn.Close()
		err = ctx.Err()
	}
	switch {
	case err == nil:
		return ssh.NewClient(conn, channels, requests), shown, nil
	case refused != nil:
		raw.Close()
		return nil, nil, refused
	}
	raw.Close()
	return nil, nil, c.notLoggedIn(ctx, target, err)
}

func connect(ctx context.Context, through *ssh.Client, address string) (net.Conn, error) {
	if through == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return through.DialContext(ctx, "tcp", address)
}

func notReached(ctx context.Context, through *ssh.Client, target Target, err error) error {
	var channel *ssh.OpenChannelError
	e := cli.Errorf(StatusConnection, "host %s cannot be reached: %s", target.Name(), words.Clean(err.Error()))
	switch {
	case errors.As(err, &channel) && channel.Reason == ssh.Prohibited:
		return e.Hint("the jump host does not let this certificate pass: the bot's roles must have the option port_forwarding")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return e.Hint("check name, port and firewall, or give a longer --connect-timeout")
	case through != nil:
		return e.Hint("check the name and port as the jump host sees them")
	}
	return e.Hint("check name, port and firewall")
}

func (c Config) notLoggedIn(ctx context.Context, target Target, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return cli.Errorf(StatusConnection, "host %s did not log us in within %s", target.Name(), c.Timeout).Hint("give a longer --connect-timeout")
	}
	e := cli.Errorf(StatusConnection, "host %s does not log in %q: %s", target.Name(), target.User, words.Clean(err.Error()))
	e.Hints = []string{
		"the host must trust the service's SSH user authority (TrustedUserCAKeys in sshd_config), and the certificate must have the login among its principals",
	}
	if cert, ok := c.Certificate(); ok {
		labelled := func(p string) bool { return p != target.User && api.Login(p) == target.User }
		if !slices.Contains(cert.ValidPrincipals, target.User) && slices.ContainsFunc(cert.ValidPrincipals, labelled) {
			e.Hints = append(e.Hints, "the login is good on hosts with these labels only, and a host knows its own from gatepassctl host setup --labels")
		}
		e.Notes = append(e.Notes, "the certificate is for "+words.Clean(fmt.Sprint(cert.ValidPrincipals)))
	}
	return e
}

// keepAlive asks the host now and then whether it is there, and closes the
// connection when it is not: without it a session waits for ever.
func (c *Conn) keepAlive(interval time.Duration) {
	for {
		select {
		case <-c.closed:
			return
		case <-time.After(interval):
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			// Any answer will do, a refusal is one.
			_, _, _ = c.SendRequest("keepalive@openssh.com", true, nil)
		}()
		select {
		case <-c.closed:
			return
		case <-answered:
		case <-time.After(maxUnanswered * interval):
			c.giveUp(maxUnanswered * interval)
			return
		}
	}
}

// heed gives the connection up when the patience with the host ends, unless it is stopped
// or reset before.
func (c *Conn) heed() *time.Timer {
	return time.AfterFunc(c.patience, func() { c.giveUp(c.patience) })
}

func (c *Conn) giveUp(after time.Duration) {
	c.mu.Lock()
	c.broken = fmt.Errorf("no answer for %s", after)
	c.mu.Unlock()
	c.Close()
}

// Broken is why the connection was given up, or nil.
func (c *Conn) Broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// Close ends the connection and those it goes through.
func (c *Conn) Close() error {
	var err error
	c.closing.Do(func() {
		close(c.closed)
		if c.Client != nil {
			err = c.Client.Close()
		}
		for i := len(c.through) - 1; i >= 0; i-- {
			c.through[i].Close()
		}
	})
	return err
}
