package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// folderPrefix begins the name of every private folder.
const folderPrefix = "gatepass-exec-"

// maxSocketPath is what a socket's address can hold on every system that we run
// on: sun_path has 108 bytes on Linux and 104 on macOS, the last one zero.
const maxSocketPath = 103

// folder is a directory of this process's own, 0700, for what a child finds by
// path. It is in memory where the system has a file system in memory.
type folder struct{ path string }

// newFolder makes one: in $XDG_RUNTIME_DIR or /dev/shm if that is a tmpfs, else
// among the temporary files.
func newFolder(getenv func(string) string) (*folder, error) {
	var last error
	for _, place := range []struct {
		dir    string
		memory bool // only if it is in memory
	}{{getenv("XDG_RUNTIME_DIR"), true}, {"/dev/shm", true}, {os.TempDir(), false}, {"/tmp", false}} {
		memory := inMemory(place.dir)
		if !filepath.IsAbs(place.dir) || place.memory && !memory || !plain(place.dir) {
			continue
		}
		path, err := os.MkdirTemp(place.dir, folderPrefix)
		if err != nil {
			last = err
			continue
		}
		return &folder{path: path}, nil
	}
	if last == nil {
		last = errors.New("no directory for temporary files has a short and plain path")
	}
	return nil, last
}

// plain reports whether paths below dir can stand in an ssh_config, in
// GIT_SSH_COMMAND, which a shell reads, and in the address of a socket.
func plain(dir string) bool {
	strange := strings.IndexFunc(dir, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r))
	})
	// MkdirTemp adds up to ten digits, and below is the longest name of a socket.
	const below = len("/" + folderPrefix + "4294967295" + "/login/agent.sock")
	return strange < 0 && len(dir)+below <= maxSocketPath
}

// write puts a file into the folder, 0600, below it in directories 0700.
func (f *folder) write(name string, data []byte) error {
	path := filepath.Join(f.path, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// remove overwrites what is in the folder and removes it. A second time it does nothing.
func (f *folder) remove() error { return removeFolder(f.path) }

// removeFolder removes a private folder, and refuses to be the way to remove
// anything else.
func removeFolder(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir() || info.Mode().Perm() != 0o700 || !strings.HasPrefix(filepath.Base(path), folderPrefix) || !filepath.IsAbs(path):
		return fmt.Errorf("%s is no private folder of gatepass", path)
	}
	// What the child put here is removed too.
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			overwrite(name)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// overwrite is an effort: a disk may keep what a file no longer shows. A file
// that has a second name elsewhere is somebody's own, which the child linked here.
func overwrite(path string) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() > 1<<20 {
		return
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 1 {
		noise := make([]byte, info.Size())
		_, _ = rand.Read(noise)
		_, _ = file.Write(noise)
		_ = file.Sync()
	}
}
