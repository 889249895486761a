package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
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
		at, err := within(s.top, dir+"/sshd")
		if err != nil {
			continue
		}
		if info, err := os.Stat(at); err == nil && info.Mode().IsRegular() {
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
// service; of another root than / only in its own files. fs.ErrNotExist says that there
// is none.
func (s *System) Account(ctx context.Context, name string) (Account, error) {
	fields, err := s.entry(ctx, "passwd", name)
	if err != nil {
		return Account{}, err
	}
	a := Account{Shell: "/bin/sh"} // passwd(5): which an empty field means
	if len(fields) == 7 && fields[6] != "" {
		a.Shell = fields[6]
	}
	if at, err := within(s.top, a.Shell); err == nil {
		_, err = os.Stat(at)
		a.NoShell = errors.Is(err, fs.ErrNotExist)
	}
	if fields, err := s.entry(ctx, "shadow", name); err == nil && len(fields) > 1 {
		a.Locked = strings.HasPrefix(fields[1], "!")
	}
	if out, err := s.run(ctx, "id", "-nG", name); err == nil {
		a.Groups = strings.Fields(out)
	}
	return a, nil
}

// entry returns the fields of an account in passwd(5) or shadow(5).
func (s *System) entry(ctx context.Context, database, name string) ([]string, error) {
	var text string
	if _, err := exec.LookPath("getent"); err == nil && s.top == "/" {
		text, err = s.run(ctx, "getent", database, name)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == notFound {
			return nil, fs.ErrNotExist
		}
		if err != nil {
			return nil, err
		}
	} else {
		at, err := within(s.top, "/etc/"+database)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(at)
		if err != nil {
			return nil, fmt.Errorf("looking up %s: %v", name, err) // %v: a missing file is no missing account
		}
		text = string(data)
	}
	for line := range strings.Lines(text) {
		if fields := strings.Split(strings.TrimSuffix(line, "\n"), ":"); fields[0] == name {
			return fields, nil
		}
	}
	return nil, fs.ErrNotExist
}

// notFound is getent's exit status for a name that is not there.
const notFound = 2

// HasRead is when the running sshd last read its configuration: it writes its PidFile
// after that, each time. The zero time if none runs or it cannot be known.
func (s *System) HasRead(ctx context.Context) time.Time {
	if s.top != "/" || s.sshd == "" {
		return time.Time{}
	}
	out, err := s.run(ctx, s.sshd, "-T", "-C", noClient)
	if err != nil {
		return time.Time{}
	}
	file := strings.Join(parseEffective(out)["pidfile"], "")
	pid, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}
	}
	// Whatever else runs by a number that was left behind is not called so.
	name, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/comm")
	if err != nil || strings.TrimSpace(string(name)) != "sshd" {
		return time.Time{}
	}
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
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
