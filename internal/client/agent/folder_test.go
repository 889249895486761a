package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func none(string) string { return "" }

func TestFolder(t *testing.T) {
	f, err := newFolder(none)
	must(t, err)
	t.Cleanup(func() { _ = removeFolder(f) })
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && inMemory("/dev/shm") && filepath.Dir(f) != "/dev/shm" {
		t.Errorf("it is %s, not in memory", f)
	}
	must(t, write(f, "a/b", []byte("secret")))
	if err := write(f, "a/b", nil); err == nil {
		t.Error("a file is written twice")
	}
	for path, mode := range map[string]os.FileMode{".": os.ModeDir | 0o700, "a": os.ModeDir | 0o700, "a/b": 0o600} {
		if info, err := os.Stat(filepath.Join(f, path)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	linked := filepath.Join(t.TempDir(), "linked")
	if err := os.WriteFile(linked, []byte("mine"), 0o600); err != nil || os.Link(linked, filepath.Join(f, "linked")) != nil {
		linked = "" // on another file system
	}
	held, err := os.Open(filepath.Join(f, "a/b"))
	must(t, err)
	defer held.Close()
	must(t, removeFolder(f))
	must(t, removeFolder(f))
	if data, err := os.ReadFile(linked); linked != "" && (err != nil || string(data) != "mine") {
		t.Errorf("a file that was linked into the folder holds %q: %v", data, err)
	}
	left := make([]byte, 6)
	if n, _ := held.ReadAt(left, 0); string(left[:n]) == "secret" {
		t.Error("what was in the file can be read by who has it open")
	}
}

// A place that is no tmpfs, or has a path that other programs would stumble on, is not taken.
func TestFolderPlaces(t *testing.T) {
	onDisk := "/proc" // a file system that is none for files, whatever the machine's disks are
	if inMemory(onDisk) || inMemory("") || inMemory("/nowhere") {
		t.Error("taken for a tmpfs")
	}
	for dir, want := range map[string]bool{
		"/run/user/1000": true, "/tmp": true, "/tmp/with space": false, "/tmp/quote'": false, "/tmp/$(x)": false,
		"/" + strings.Repeat("long/", 20): false,
	} {
		if plain(dir) != want {
			t.Errorf("plain(%q) is %v", dir, !want)
		}
	}
}

// The janitor removes private folders and nothing else.
func TestRemoveFolderRefuses(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	open := filepath.Join(dir, folderPrefix+"open")
	file := filepath.Join(dir, folderPrefix+"file")
	link := filepath.Join(dir, folderPrefix+"link")
	must(t, os.Mkdir(other, 0o700))
	must(t, os.Mkdir(open, 0o755))
	must(t, os.WriteFile(file, nil, 0o700))
	must(t, os.Symlink(other, link))
	for _, path := range []string{other, open, file, link, "/"} {
		if err := removeFolder(path); err == nil {
			t.Errorf("%s was removed", path)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone", path)
		}
	}
}
