package test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestCopy(t *testing.T) {
	w := newLoginWorld(t)
	t.Run("a hundred megabytes each way", func(t *testing.T) { copyLarge(t, w) })
	t.Run("folders with modes and links", func(t *testing.T) { copyTree(t, w) })
	t.Run("a file that is not whole has no name", func(t *testing.T) { copyPartial(t, w) })
	t.Run("what is refused", func(t *testing.T) { copyRefused(t, w) })
	w.nothingLeft(t)
}

// there is how cp names the login on the hosts; -P names the host.
const there = "deploy@127.0.0.1"

func (w *world) cp(t *testing.T, host *sshdtest.Server, args ...string) worldtest.Ran {
	t.Helper()
	return w.run(t, append([]string{"cp", "-P", port(t, host)}, args...)...)
}

// large makes a file that compresses to nothing less, the same in every run.
func large(t *testing.T, path string, size int64) string {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	_, err = io.CopyN(file, rand.NewChaCha8([32]byte{1}), size)
	must(t, err)
	must(t, file.Close())
	return digest(t, path)
}

func digest(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	must(t, err)
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func copyLarge(t *testing.T, w *world) {
	const size = 100_000_000
	dir := t.TempDir()
	sum := large(t, filepath.Join(dir, "up"), size)
	begin := time.Now()
	if out := w.cp(t, w.host, filepath.Join(dir, "up"), there+":large").OK(t); !strings.Contains(out, "copied 1 files, 95.4 MiB") {
		t.Errorf("it says %q", out)
	}
	t.Logf("up in %s", time.Since(begin))
	if out := w.run(t, "ssh", at(w.host), "--", "sha256sum large; stat -c %s large").OK(t); out != sum+"  large\n100000000\n" {
		t.Errorf("on the host it is %q, not %s", out, sum)
	}
	begin = time.Now()
	w.cp(t, w.host, there+":large", filepath.Join(dir, "down")).OK(t)
	t.Logf("down in %s", time.Since(begin))
	if got := digest(t, filepath.Join(dir, "down")); got != sum {
		t.Errorf("it came back as %s, not %s", got, sum)
	}
	w.run(t, "ssh", at(w.host), "--", "rm large").OK(t)
}

func copyTree(t *testing.T, w *world) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	must(t, os.MkdirAll(filepath.Join(tree, "sub", "empty"), 0o755))
	for name, mode := range map[string]fs.FileMode{"run.sh": 0o755, "secret": 0o600, "sub/read only": 0o444, "sub/-rf": 0o640} {
		write(t, tree, name, "content of "+name)
		must(t, os.Chmod(filepath.Join(tree, name), mode))
	}
	must(t, os.Chmod(filepath.Join(tree, "sub", "empty"), 0o500))
	must(t, os.Symlink("../run.sh", filepath.Join(tree, "sub", "link")))

	w.cp(t, w.host, tree, there+":tree").Failed(t, 2, "is a folder", "-r")
	w.cp(t, w.host, "-r", tree, there+":").OK(t)
	want := "./run.sh 755\n./secret 600\n./sub 755\n./sub/-rf 640\n./sub/empty 500\n./sub/link 777\n./sub/read only 444\n"
	list := "cd tree && find . -mindepth 1 -printf '%p %m\\n' | LC_ALL=C sort; cat sub/link"
	if out := w.run(t, "ssh", at(w.host), "--", list).OK(t); out != want+"content of run.sh" {
		t.Errorf("on the host:\n%s\nwant:\n%s", out, want)
	}
	// Again, over what is there; and back, as another name.
	w.cp(t, w.host, "-r", tree, there+":").OK(t)
	back := filepath.Join(dir, "back")
	w.cp(t, w.host, "-r", there+":tree", back).OK(t)
	w.cp(t, w.host, "-r", there+":tree/.", back).OK(t)
	got := output(t, "sh", "-c", "cd "+back+` && find . -mindepth 1 -printf '%p %m\n' | LC_ALL=C sort`)
	if got != want {
		t.Errorf("back it is:\n%s\nwant:\n%s", got, want)
	}

	// What leads out of the tree is left out, and said.
	must(t, os.Symlink("/etc/passwd", filepath.Join(tree, "out")))
	must(t, syscall.Mkfifo(filepath.Join(tree, "pipe"), 0o600))
	w.cp(t, w.host, "-r", tree, there+":second").Failed(t, 1, "not everything was copied", "tree/out is a link", "tree/pipe is no file")
	w.run(t, "ssh", at(w.host), "--", "ln -s /etc/passwd tree/up; mkfifo tree/pipe").OK(t)
	w.cp(t, w.host, "-r", there+":tree", filepath.Join(dir, "third")).Failed(t, 1, "not everything was copied", "tree/up is a link", "tree/pipe is no file")
	if _, err := os.Lstat(filepath.Join(dir, "third", "up")); err == nil {
		t.Error("a link that leads out was made")
	}
	if _, err := os.Lstat(filepath.Join(dir, "third", "secret")); err != nil {
		t.Errorf("the rest was not copied: %v", err)
	}
}

// A copy that a signal breaks off leaves the old file, and nothing beside it.
func copyPartial(t *testing.T, w *world) {
	dir := t.TempDir()
	must(t, os.Truncate(write(t, dir, "new", ""), 4<<30)) // takes no room here
	w.run(t, "ssh", at(w.host), "--", "mkdir part; echo old > part/file").OK(t)
	cmd := w.command(t, "cp", "-P", port(t, w.host), filepath.Join(dir, "new"), there+":part/file")
	must(t, cmd.Start())
	seen := w.run(t, "ssh", at(w.host), "--", "for i in $(seq 500); do ls -A part | grep -q gatepass && exit 0; sleep 0.02; done; exit 1")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	seen.OK(t)
	if status := cmd.ProcessState.ExitCode(); status != 128+15 {
		t.Errorf("exit status %d", status)
	}
	if out := w.run(t, "ssh", at(w.host), "--", "ls -A part; cat part/file").OK(t); out != "file\nold\n" {
		t.Errorf("on the host there is now %q", out)
	}
}

func copyRefused(t *testing.T, w *world) {
	dir := t.TempDir()
	file := write(t, dir, "file", "x")
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"both here":            {[]string{file, dir}, 2, "one side must be on a host"},
		"both on hosts":        {[]string{there + ":a", there + ":b"}, 2, "one side must be on a host"},
		"two hosts":            {[]string{"a.example.com:x", "b.example.com:x", dir}, 2, "on several hosts"},
		"one path":             {[]string{file}, 2, "at least two paths"},
		"no such file here":    {[]string{filepath.Join(dir, "none"), there + ":x"}, 1, "no such file"},
		"no such file there":   {[]string{there + ":none", dir}, 1, "looking at none"},
		"no such folder there": {[]string{file, there + ":none/"}, 1, "is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			w.cp(t, w.host, test.args...).Failed(t, test.status, test.says)
		})
	}
	w.cp(t, w.plain, file, there+":x").Failed(t, 255, "is not trusted")
}
