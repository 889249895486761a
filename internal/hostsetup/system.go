package hostsetup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// System runs programs of the host. Of another root than / it does so by chroot.
type System struct {
	top  string
	sshd string // the path on the host; "" if there is none, or only root could ask it
}

// NewSystem looks for the programs of the host whose / is at top.
func NewSystem(top string) *System {
	s := &System{top: filepath.Clean(top)}
	if os.Geteuid() != 0 {
		return s // sshd reads the host's keys even to test its configuration
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"} {
		if info, err := os.Stat(filepath.Join(s.top, dir, "sshd")); err == nil && info.Mode().IsRegular() {
			s.sshd = dir + "/sshd"
			return s
		}
	}
	return s
}

// Sshd is the host's sshd; nil if there is none that can be run.
func (s *System) Sshd() Sshd {
	if s.sshd == "" {
		return nil
	}
	return func(ctx context.Context, args ...string) (string, error) {
		return s.run(ctx, s.sshd, args...)
	}
}

// run returns a program's output; its error has what it wrote to standard error.
func (s *System) run(ctx context.Context, program string, args ...string) (string, error) {
	if s.top != "/" {
		program, args = "chroot", append([]string{s.top, program}, args...)
	}
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); exited && errs.Len() > 0 {
		err = errors.New(strings.Join(strings.Fields(errs.String()), " "))
	}
	return out.String(), err
}

// Account looks an account up as sshd does, by getent, which also asks a directory
// service; of another root than / only in its /etc/passwd.
func (s *System) Account(ctx context.Context, name string) (shell string, err error) {
	if _, err := exec.LookPath("getent"); err == nil && s.top == "/" {
		out, err := s.run(ctx, "getent", "passwd", name)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == notFound {
			return "", fs.ErrNotExist
		}
		return shellOf(out, name), err
	}
	data, err := os.ReadFile(filepath.Join(s.top, "/etc/passwd"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, name+":") {
			return shellOf(line, name), nil
		}
	}
	return "", fs.ErrNotExist
}

// notFound is getent's exit status for a name that is not there.
const notFound = 2

// shellOf returns the last field of a line of passwd(5); an empty one means /bin/sh.
func shellOf(line, name string) string {
	fields := strings.Split(strings.TrimSpace(line), ":")
	if shell := fields[len(fields)-1]; len(fields) == 7 && fields[0] == name && shell != "" {
		return shell
	}
	return "/bin/sh"
}

// ErrNotRunning says that no service of sshd is known to systemd.
var ErrNotRunning = errors.New("systemd runs no ssh or sshd service")

// Reload has the running sshd read its configuration again.
func (s *System) Reload(ctx context.Context) error {
	for _, unit := range []string{"ssh", "sshd"} {
		if _, err := s.run(ctx, "systemctl", "is-active", "--quiet", unit); err == nil {
			_, err := s.run(ctx, "systemctl", "reload", unit)
			return err
		}
	}
	return ErrNotRunning
}
