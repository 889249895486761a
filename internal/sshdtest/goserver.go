package sshdtest

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// StartGo starts an SSH server written in Go on a free port of 127.0.0.1. It accepts
// what [Start]'s would, and runs a session's command by /bin/sh in the login's own
// empty home; it has no terminals, subsystems or forwarding. As root it runs
// commands as the login's unprivileged user, root's too; otherwise as the caller.
// Closing it ends its commands with their process groups; a command that moves to a
// session of its own escapes that, which Start's cannot. When ctx ends the server
// is closed.
func StartGo(ctx context.Context, cfg Config) (*Server, error) {
	cfg, signer, err := cfg.normalized()
	if err != nil {
		return nil, err
	}
	if cfg.SSHFolder != "" {
		return nil, errors.New("SSHFolder: the server in Go reads no files of sshd's; use Start")
	}
	if cfg.RevokedKeysFile != "" {
		return nil, errors.New("RevokedKeysFile: the server in Go reads no files of sshd's; use Start")
	}
	log := newLogBuffer()
	auth, err := newAuthenticator(cfg, log)
	if err != nil {
		return nil, err
	}
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	accounts := goAccounts(cfg.Logins, dir)
	if err := errors.Join(mkdir(dir+"/home", 0o755), homes(dir, accounts, os.Getuid() == 0)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}

	g := &goServer{listener: listener, log: log, accounts: make(map[string]account), conns: make(map[net.Conn]bool)}
	for _, a := range accounts {
		g.accounts[a.name] = a
	}
	g.config.PublicKeyCallback = auth.authenticate
	g.config.AuthLogCallback = auth.logAttempt
	g.config.AddHostKey(signer)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.wait.Go(g.accept)

	s := &Server{software: "go", addr: listener.Addr().String(), hostKey: plainKey(signer), log: log}
	s.stop = func() error {
		g.close()
		return os.RemoveAll(dir)
	}
	s.closeWith(ctx)
	return s, nil
}

func goAccounts(logins []string, dir string) []account {
	uid, gid := os.Getuid(), os.Getgid()
	// The passwd handed in has an sshd, so that no account of that name is added.
	accounts := sshdAccounts(logins, dir, uid == 0, uid, gid, []byte("sshd:"))
	for i := range accounts {
		if a := &accounts[i]; a.name == "root" {
			// Unlike sshd this is not meant to hand out root.
			a.uid, a.gid = uid, gid
			if uid == 0 {
				a.uid, a.gid = firstUID+len(logins), firstUID+len(logins)
			}
		}
	}
	return accounts
}

// goServer is the running part of StartGo's server.
type goServer struct {
	listener net.Listener
	config   ssh.ServerConfig
	log      *logBuffer
	accounts map[string]account

	ctx    context.Context // ends with the server; ends its commands
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

func (g *goServer) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		g.wait.Go(func() { g.serve(conn) })
	}
}

// track notes conn as open or not; it is false once the server is closed.
func (g *goServer) track(conn net.Conn, open bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if open {
		g.conns[conn] = true
	} else {
		delete(g.conns, conn)
	}
	return !g.closed
}

func (g *goServer) close() {
	g.cancel()
	_ = g.listener.Close()
	g.mu.Lock()
	g.closed = true
	for conn := range g.conns {
		_ = conn.Close()
	}
	g.mu.Unlock()
	g.wait.Wait()
}

func (g *goServer) serve(conn net.Conn) {
	defer conn.Close()
	defer g.track(conn, false)
	if !g.track(conn, true) {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // for logging in
	sc, channels, requests, err := ssh.NewServerConn(conn, &g.config)
	if err != nil {
		g.log.printf("Connection from %s closed: %v", conn.RemoteAddr(), err)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests)
	var sessions sync.WaitGroup
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "only sessions are served here")
			continue
		}
		channel, requests, err := ch.Accept()
		if err != nil {
			continue
		}
		sessions.Go(func() { g.session(sc, channel, requests) })
	}
	sessions.Wait()
}
