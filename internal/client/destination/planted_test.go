package destination_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

const precious = "precious, and longer than what is written"

// planted are things that another can put under a name, with a victim behind them.
var planted = map[string]func(path, victim string) error{
	"a link to a file":    func(path, victim string) error { return os.Symlink(victim, path) },
	"a link to a folder":  func(path, victim string) error { return os.Symlink(filepath.Dir(victim), path) },
	"a link to nothing":   func(path, victim string) error { return os.Symlink(victim+"-missing", path) },
	"a hard link":         func(path, victim string) error { return os.Link(victim, path) },
	"a pipe":              func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
	"a socket":            func(path, _ string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) },
	"a folder of its own": func(path, _ string) error { return os.Mkdir(path, 0o700) },
	"a folder with a link": func(path, victim string) error {
		return folderWith(path, func(p string) error { return os.Symlink(victim, p) })
	},
	"a folder with a hard link": func(path, victim string) error {
		return folderWith(path, func(p string) error { return os.Link(victim, p) })
	},
	"a folder with a pipe": func(path, _ string) error {
		return folderWith(path, func(p string) error { return syscall.Mkfifo(p, 0o600) })
	},
}

func folderWith(path string, put func(string) error) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return put(filepath.Join(path, "key"))
}

// Whatever is put under whichever name in a destination and in its state, writing and logging
// out come to an end, and neither changes, overwrites nor removes what is elsewhere.
func TestNothingPlantedLeadsElsewhere(t *testing.T) {
	for _, name := range []string{"key", ".gitignore", ".gatepass", ".gatepass/lock", ".gatepass/current", ".gatepass/set-planted", ".gatepass/probe-planted", ".gatepass/current/key", ".gatepass/current/more"} {
		for kind, put := range planted {
			t.Run(name+" is "+kind, func(t *testing.T) {
				outside := t.TempDir()
				victim := filepath.Join(outside, "victim")
				if err := os.WriteFile(victim, []byte(precious), 0o600); err != nil {
					t.Fatal(err)
				}
				dir := filepath.Join(t.TempDir(), "id")
				if err := write(dir, "old", nil); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, name)
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := put(path, victim); err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					if err := write(dir, "new", nil); err == nil && whole(t, dir) != "new" {
						t.Error("it says that it has written, and has not")
					}
					_, _ = destination.Remove(context.Background(), dir)
				}()
				select {
				case <-done:
				case <-time.After(30 * time.Second):
					t.Fatal("it waits for what was planted")
				}
				if raw, err := os.ReadFile(victim); err != nil || string(raw) != precious {
					t.Errorf("the victim is %q: %v", raw, err)
				}
				if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
					t.Errorf("beside the victim: %v %v", entries, err)
				}
			})
		}
	}
}

// A link is followed only from a directory that nobody else can write to: not even the group.
func TestLinksInDirectoriesOfOthers(t *testing.T) {
	for mode, follows := range map[os.FileMode]bool{
		0o700: true, 0o755: true, 0o711: true, 0o775: false, 0o770: false, 0o720: false, 0o757: false, 0o702: false, 0o777: false, 0o777 | os.ModeSticky: false,
	} {
		for _, below := range []string{"link", "link/id"} {
			above := t.TempDir()
			real, shared := filepath.Join(above, "real"), filepath.Join(above, "shared")
			for _, made := range []string{real, shared} {
				if err := os.Mkdir(made, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(real, filepath.Join(shared, "link")); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(shared, mode); err != nil {
				t.Fatal(err)
			}
			err := write(filepath.Join(shared, below), "new", nil)
			if follows != (err == nil) || !follows && !strings.Contains(err.Error(), "someone else could have put there") {
				t.Errorf("%s in a directory of mode %s: %v", below, mode, err)
			}
			if left, _ := os.ReadDir(real); !follows && len(left) > 0 {
				t.Errorf("%s in a directory of mode %s: %v was written", below, mode, left)
			}
		}
	}
}

// A directory that becomes a link just after it was looked at is not gone into, and one that
// becomes another directory is not written to by its name.
func TestWhatIsExchangedOnTheWay(t *testing.T) {
	for _, create := range []bool{false, true} {
		for what, put := range map[string]func(path, victim string) error{
			"a link":             func(path, victim string) error { return os.Symlink(victim, path) },
			"a link by its name": func(path, _ string) error { return os.Symlink("../victim", path) },
			"a file":             func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
			"a pipe":             func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
		} {
			for _, at := range []string{"deep", "deep/id"} {
				above := t.TempDir()
				victim := filepath.Join(above, "victim")
				for _, made := range []string{victim, filepath.Join(above, "deep", "id")} {
					if err := os.MkdirAll(made, 0o700); err != nil {
						t.Fatal(err)
					}
				}
				path := filepath.Join(above, at)
				root, err := destination.OpenWithSwap(filepath.Join(above, "deep", "id"), create, func(seen string) {
					if seen != path {
						return
					}
					if err := os.RemoveAll(path); err != nil {
						t.Error(err)
					}
					if err := put(path, victim); err != nil {
						t.Error(err)
					}
				})
				if err == nil {
					t.Errorf("%s in place of %s: opened %s", what, at, root.Name())
					root.Close()
				}
				if left, _ := os.ReadDir(victim); len(left) > 0 {
					t.Errorf("%s in place of %s: %v was made", what, at, left)
				}
			}
		}
	}
}
