package sshdtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "embed"
)

// startTimeout is how long sshd may take until it listens; it takes some 50 ms.
const startTimeout = 30 * time.Second

// sandboxFailed is the exit status by which sandbox.sh says that it could not set
// the sandbox up and sshd was not started.
const sandboxFailed = 90

// sandbox is run by sh with the folder and the path of sshd as its
// arguments, and the folder to lay over /etc/ssh or "".
//
//go:embed sandbox.sh
var sandbox string

// Start starts OpenSSH's sshd on a free port of 127.0.0.1 and returns once it
// listens. When ctx ends the server is closed. The error is ErrUnavailable where
// sshd is not installed, or the kernel or a container forbids the namespaces that
// it is run in.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, signer, err := cfg.normalized()
	if err != nil {
		return nil, err
	}
	sshd, err := findSSHD()
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		s, err := startOnce(ctx, cfg, sshd)
		if err == nil {
			s.hostKey = plainKey(signer)
			s.closeWith(ctx)
			return s, nil
		}
		if !errors.Is(err, errPortTaken) || attempt == 5 {
			return nil, err
		}
	}
}

// errPortTaken says that another process was faster: sshd takes a port's number,
// not a listener.
var errPortTaken = errors.New("the port was taken before sshd could listen on it")

func startOnce(ctx context.Context, cfg Config, sshd string) (_ *Server, err error) {
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	addr, port, err := freePort()
	if err != nil {
		return nil, err
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	accounts := sshdAccounts(cfg.Logins, dir, uid == 0, uid, gid, passwd)
	if err := cfg.files(dir, port, accounts, uid == 0); err != nil {
		return nil, err
	}
	if err := homes(dir, accounts, uid == 0); err != nil {
		return nil, err
	}
	log := newLogBuffer()
	p, err := startSandboxed(dir, sshd, cfg.SSHFolder, log)
	if err != nil {
		return nil, err
	}
	if err := listening(ctx, p, log); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	stop := func() error { return errors.Join(p.kill(), os.RemoveAll(dir)) }
	return &Server{software: sshd, addr: addr, pid: p.cmd.Process.Pid, log: log, stop: stop}, nil
}

// startSandboxed runs sandbox.sh, which becomes sshd, in new namespaces.
func startSandboxed(dir, sshd, sshFolder string, log *logBuffer) (*process, error) {
	cmd := exec.Command("/bin/sh", "-c", sandbox, "sandbox", dir, sshd, sshFolder)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// In a process namespace of its own sshd is process 1: with it the kernel
		// ends all that was started through it, sessions of their own included.
		Cloneflags: syscall.CLONE_NEWPID,
		// Unshared, not cloned: Go then makes every mount private, so that none of
		// ours is seen outside.
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		const capSysAdmin = 21 // linux/capability.h; over this namespace only
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{capSysAdmin}
	}
	p, err := startProcess(cmd)
	if err != nil {
		return nil, fmt.Errorf("%w: the system refuses new namespaces: %w", ErrUnavailable, err)
	}
	return p, nil
}

// listening waits until sshd says that it listens. It does not dial, because an
// answer could be another process's.
func listening(ctx context.Context, p *process, log *logBuffer) error {
	timed, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ctx, ended := context.WithCancelCause(timed)
	defer ended(nil)
	go func() {
		select {
		case <-p.done:
			ended(errors.New("sshd has ended"))
		case <-ctx.Done():
		}
	}()
	err := log.wait(ctx, "Server listening on 127.0.0.1")
	if err == nil {
		return nil
	}
	waitErr, exited := p.exited()
	if !exited {
		return err
	}
	var exit *exec.ExitError
	if errors.As(waitErr, &exit) && exit.ExitCode() == sandboxFailed {
		return fmt.Errorf("%w: setting up its sandbox: %s", ErrUnavailable, strings.TrimSpace(log.String()))
	}
	if strings.Contains(log.String(), "Address already in use") {
		return errPortTaken
	}
	return fmt.Errorf("starting sshd: %w: %s", waitErr, strings.TrimSpace(log.String()))
}

// freePort returns a loopback address that nobody listens on at the moment.
func freePort() (addr, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	addr = l.Addr().String()
	_, port, err = net.SplitHostPort(addr)
	return addr, port, err
}

// findSSHD returns sshd's absolute path, without which it does not start.
func findSSHD() (string, error) {
	if path, err := exec.LookPath("sshd"); err == nil && filepath.IsAbs(path) {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, "sshd")); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: sshd is not installed (Debian: apt-get install openssh-server)", ErrUnavailable)
}
