package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// folderPrefix begins the name of every private folder.
const folderPrefix = "gatepass-exec-"

// maxSocketPath is what a socket's address can hold on every system that we run
// on: sun_path has 108 bytes on Linux and 104 on macOS, the last one zero.
const maxSocketPath = 103

// newFolder makes a directory of this process's own, 0700, for what a child finds by
// path: in $XDG_RUNTIME_DIR or /dev/shm if that is in memory, a tmpfs, else among the
// temporary files.
func newFolder(getenv func(string) string) (string, error) {
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
		return path, nil
	}
	if last == nil {
		last = errors.New("no directory for temporary files has a short and plain path")
	}
	return "", last
}

// plain reports whether paths below dir can stand in an ssh_config, in
// GIT_SSH_COMMAND, which a shell reads, and in the address of a socket.
func plain(dir string) bool {
	// MkdirTemp adds up to ten digits, and below is the longest name of a socket.
	const below = len("/" + folderPrefix + "4294967295" + "/login/agent.sock")
	return words.Plain(dir, "/._-+") && len(dir)+below <= maxSocketPath
}

// write puts a file into a private folder, 0600, below it in directories 0700.
func write(folder, name string, data []byte) error {
	path := filepath.Join(folder, filepath.FromSlash(name))
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

// removeFolder overwrites what is in a private folder and removes it. A second time it
// does nothing. It refuses to be the way to remove anything else.
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
	above, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer above.Close()
	return destination.Destroy(above, filepath.Base(path), true) // what the child put here too
}
