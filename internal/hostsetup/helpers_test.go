package hostsetup_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/hostsetup"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return signer
}

func line(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

// image is a tree with an /etc/ssh as Debian installs it.
type image struct {
	t   *testing.T
	top string
	dir *hostsetup.Dir
}

func newImage(t *testing.T) *image {
	t.Helper()
	m := &image{t: t, top: t.TempDir()}
	m.write("/etc/ssh/sshd_config", "# comment\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n")
	m.open()
	return m
}

func (m *image) open() {
	m.t.Helper()
	dir, err := hostsetup.OpenDir(m.top)
	must(m.t, err)
	m.t.Cleanup(func() { dir.Close() })
	m.dir = dir
}

func (m *image) path(name string) string { return filepath.Join(m.top, name) }

func (m *image) write(name, text string) {
	m.t.Helper()
	// No matter what the umask is: sshd looks at these modes.
	must(m.t, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	for dir := filepath.Dir(m.path(name)); len(dir) >= len(m.top); dir = filepath.Dir(dir) {
		must(m.t, os.Chmod(dir, 0o755))
	}
	must(m.t, os.WriteFile(m.path(name), []byte(text), 0o644))
	must(m.t, os.Chmod(m.path(name), 0o644))
}

func (m *image) read(name string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.path(name))
	must(m.t, err)
	return string(data)
}

// snapshot is every file of the image with its mode, for comparisons.
func (m *image) snapshot() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	must(m.t, filepath.WalkDir(m.top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			all[strings.TrimPrefix(path, m.top)], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, m.top)] = info.Mode().String() + " " + info.ModTime().String() + "\n" + string(data)
		return err
	}))
	return all
}

// apply applies and returns what was done, by path.
func (m *image) apply(h *hostsetup.Host, sshd hostsetup.Sshd) (map[string]string, error) {
	changes, err := hostsetup.Apply(m.t.Context(), m.dir, h, sshd)
	done := map[string]string{}
	for _, c := range changes {
		done[c.Path] = c.Change
	}
	return done, err
}

// found is what Check finds, one line each; an image of no sshd and any account.
func (m *image) found(h *hostsetup.Host, with hostsetup.Checks) []string {
	m.t.Helper()
	if with.Now.IsZero() {
		with.Now = now
	}
	all, err := hostsetup.Check(m.t.Context(), m.dir, h, with)
	must(m.t, err)
	var lines []string
	for _, f := range all {
		if f.Do == "" {
			m.t.Errorf("nothing to do about %+v", f)
		}
		lines = append(lines, f.About+": "+f.Problem)
	}
	return lines
}

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// refuses is an sshd that refuses whatever configuration it is given while there is a file.
func refuses(file string) hostsetup.Sshd {
	return func(_ context.Context, args ...string) (string, error) {
		if _, err := os.Stat(file); err == nil && args[0] == "-t" {
			return "", errors.New(file + " line 2: bad configuration")
		}
		return "", nil
	}
}
