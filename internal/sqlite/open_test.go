package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// refused opens a store that must not open, and whose error must say all of this.
func refused(t *testing.T, dir string, opts sqlite.Options, says ...string) error {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, opts)
	if err == nil {
		s.Close()
		t.Fatal("the store was opened")
	}
	saysAll(t, err, says...)
	return err
}

func saysAll(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestOpenCreatesPrivateFiles(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // the most permissive one
	dir := filepath.Join(t.TempDir(), "parent", "data")
	s := open(t, dir)
	record(t, s, 1) // so that every file is there
	want := map[string]os.FileMode{".": 0o700, "gatepass.db": 0o600, "gatepass.db-wal": 0o600, "gatepass.db-shm": 0o600}
	modes(t, dir, want)

	for name := range want {
		if name != "." {
			if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	open(t, dir)
	modes(t, dir, want)
}

// modes tests which files there are in dir, and who can read them.
func modes(t *testing.T, dir string, want map[string]os.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries)+1 != len(want) {
		t.Errorf("%s holds %v, want %v", dir, entries, want)
	}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
	}
}

func TestOpenSettings(t *testing.T) {
	s := open(t, t.TempDir())
	for name, want := range map[string][2]string{
		"synchronous":    {"2", "2"}, // FULL
		"journal_mode":   {"wal", "wal"},
		"busy_timeout":   {"10000", "10000"},
		"foreign_keys":   {"1", "1"},
		"query_only":     {"0", "1"},
		"trusted_schema": {"0", "0"},
	} {
		write, read, err := s.Pragma(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if write != want[0] || read != want[1] {
			t.Errorf("%s is %s for writes and %s for reads, want %v", name, write, read, want)
		}
	}
}

func TestOpenAnyDirectoryName(t *testing.T) {
	for _, name := range []string{"a b", "a?b=c", "a#b", "a%20b", "größe 🚀", "it's", `a"b`, "file:a", "a&mode=memory", "-a"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			record(t, open(t, dir), 1)
			if _, err := open(t, dir).Join(t.Context(), joinID(1)); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, sqlite.FileName)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenMustExist(t *testing.T) {
	opts := sqlite.Options{MustExist: true}
	empty := t.TempDir()
	for name, dir := range map[string]string{"no directory": filepath.Join(empty, "missing"), "no data": empty} {
		t.Run(name, func(t *testing.T) {
			if err := refused(t, dir, opts, dir, "gatepassctl serve --data "+dir); !errors.Is(err, sqlite.ErrNoData) {
				t.Errorf("%v is not ErrNoData", err)
			}
		})
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
	t.Run("data", func(t *testing.T) {
		record(t, open(t, empty), 1)
		s, err := sqlite.Open(t.Context(), empty, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	write := func(content string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, sqlite.FileName), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		prepare func(*testing.T, string)
		says    []string
	}{
		"a file that is not a database": {write(strings.Repeat("not a database\n", 1000)), []string{"is not a database", "backup"}},
		"a database that is cut off": {func(t *testing.T, dir string) {
			open(t, dir).Close()
			if err := os.Truncate(filepath.Join(dir, sqlite.FileName), 4096); err != nil {
				t.Fatal(err)
			}
		}, []string{"is damaged", "backup"}},
		"a newer schema": {func(t *testing.T, dir string) {
			open(t, dir)
			runIn(t, dir, "PRAGMA user_version=99")
		}, []string{"version 99", "upgrade gatepassctl"}},
		"another program's database": {func(t *testing.T, dir string) {
			write("")(t, dir)
			runIn(t, dir, "CREATE TABLE theirs (x)")
		}, []string{"another program", "choose another data directory"}},
		"another program's version": {func(t *testing.T, dir string) {
			write("")(t, dir)
			runIn(t, dir, "PRAGMA user_version=1")
		}, []string{"another program"}},
		"a directory in the file's place": {func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, sqlite.FileName), 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"not a regular file"}},
		"a symbolic link in the file's place": {func(t *testing.T, dir string) {
			if err := os.Symlink("/dev/null", filepath.Join(dir, sqlite.FileName)); err != nil {
				t.Fatal(err)
			}
		}, []string{"not a regular file"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.prepare(t, dir)
			refused(t, dir, sqlite.Options{}, append(c.says, dir)...)
		})
	}
	t.Run("a file in the directory's place", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, file, sqlite.Options{}, file, "give it to the user")
	})
}

func runIn(t *testing.T, dir, query string) {
	t.Helper()
	db := raw(t, dir)
	run(t, db, query)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenWithoutPermission runs a child that is not root, since root may do anything.
func TestOpenWithoutPermission(t *testing.T) {
	// t.TempDir is inside a directory that only its owner may enter.
	base, err := os.MkdirTemp("", "gatepass-sqlite-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	binary := filepath.Join(base, "test")
	copySelf(t, binary)
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dirMode, fileMode os.FileMode
		data              bool
		says              string
	}{
		"a new store in a read-only directory": {dirMode: 0o555, says: "give it to the user"},
		"a directory that cannot be entered":   {dirMode: 0o600, data: true, says: "give it to the user"},
		"a read-only directory":                {dirMode: 0o555, fileMode: 0o600, data: true, says: "must be writable"},
		"a read-only database":                 {dirMode: 0o755, fileMode: 0o400, data: true, says: "must be writable"},
		"a database that cannot be read":       {dirMode: 0o755, fileMode: 0o000, data: true, says: "must be writable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp(base, "data-*")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(dir, 0o700) })
			if c.data {
				if err := open(t, dir).Close(); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(dir, sqlite.FileName), c.fileMode); err != nil {
					t.Fatal(err)
				}
			}
			child := childCommand(binary, "open", dir)
			if os.Getuid() == 0 {
				const nobody = 65534
				child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				if err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
					return errors.Join(err, os.Chown(path, nobody, nobody))
				}); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, c.dirMode); err != nil {
				t.Fatal(err)
			}
			out, err := child.CombinedOutput()
			if _, exited := errors.AsType[*exec.ExitError](err); !exited {
				t.Fatalf("the child ended with %v: %s", err, out)
			}
			saysAll(t, errors.New(string(out)), dir, c.says)
		})
	}
}

// copySelf copies this test binary to where other users can run it.
func copySelf(t *testing.T, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, content, 0o755), os.Chmod(path, 0o755)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var (
		done   sync.WaitGroup
		stores = make([]*sqlite.Store, 12)
	)
	for i := range stores {
		done.Go(func() {
			s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
			if err != nil {
				t.Errorf("opening: %v", err)
				return
			}
			stores[i] = s
			record(t, s, i)
		})
	}
	done.Wait()
	for _, s := range stores {
		if s == nil {
			continue
		}
		for i := range stores {
			if _, err := s.Join(t.Context(), joinID(i)); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func joinID(i int) string { return fmt.Sprintf("%026d", i) }

func record(t testing.TB, s *sqlite.Store, i int) {
	t.Helper()
	now := time.Now()
	if err := s.Record(t.Context(), store.Record{JoinID: joinID(i), Time: now, Code: store.CodeOK}, now.Add(time.Hour)); err != nil {
		t.Errorf("recording: %v", err)
	}
}

// Whoever can write in the directory could put another database, and other
// authorities, in the place of ours.
func TestADirectoryThatAnyoneCanWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	open := func() error {
		s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	for _, mode := range []os.FileMode{0o700, 0o755, 0o775} {
		if err := errors.Join(os.Chmod(dir, mode), open()); err != nil {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o777, 0o777 | os.ModeSticky, 0o702} {
		if err := errors.Join(os.Chmod(dir, mode), open()); err == nil || !strings.Contains(err.Error(), "anyone can write") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}
