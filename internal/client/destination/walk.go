//go:build unix

package destination

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// maxLinks is how many links of an absolute path are followed, as in Linux.
const maxLinks = 40

// openSafely opens the directory at an absolute path, and makes what is
// missing of it if asked to. It goes down one component at a time without
// following links by itself; a link is followed only where nobody else could
// have put it: in a directory of root's or ours that others cannot write to.
//
// The walk ends with a descriptor of the very directory that was checked. The
// os.Root is opened by path and compared with it, so it does not matter what
// someone exchanges meanwhile.
func openSafely(path string, plain int, create bool) (*os.Root, error) {
	w := walker{rest: components(path), plain: plain, create: create}
	return w.open(path)
}

func (w *walker) open(path string) (*os.Root, error) {
	defer w.close()
	if err := w.toRoot(); err != nil {
		return nil, err
	}
	for len(w.rest) > 0 {
		if err := w.down(); err != nil {
			return nil, err
		}
	}
	var reached, opened unix.Stat_t
	if err := unix.Fstat(w.fd, &reached); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: w.at, Err: err}
	}
	root, err := os.OpenRoot(w.at)
	if err != nil {
		return nil, err
	}
	dot, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	defer dot.Close()
	if err := unix.Fstat(int(dot.Fd()), &opened); err != nil || opened.Dev != reached.Dev || opened.Ino != reached.Ino {
		root.Close()
		return nil, fmt.Errorf("%s was exchanged while it was being opened", path)
	}
	return root, nil
}

// walker is a walk under way: the directory reached and what is still to go.
type walker struct {
	fd     int
	at     string // path of fd, without links
	rest   []string
	plain  int // how many components at the end must be no links
	create bool
	links  int
	// seen is called between the look at a component and the way into it. It lets tests exchange
	// what is there; nil in production.
	seen func(path string)
}

func components(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == '/' })
}

// componentsBelow counts the components of a path below a directory; none if that is empty.
func componentsBelow(within, path string) (int, error) {
	if within == "" {
		return 0, nil
	}
	below, err := filepath.Rel(within, path)
	if err != nil || below == "." || !filepath.IsLocal(below) {
		return 0, cli.Failed("destination %s is not in %s", path, within).Hint("choose a directory below it")
	}
	return len(components(below)), nil
}

func (w *walker) close() {
	if w.fd > 0 {
		unix.Close(w.fd)
	}
	w.fd = 0
}

// toRoot starts the walk, or starts it again after an absolute link.
func (w *walker) toRoot() error {
	w.close()
	fd, err := unix.Open("/", openPath|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: "/", Err: err}
	}
	w.fd, w.at = fd, "/"
	return nil
}

// down takes the next component.
func (w *walker) down() error {
	name := w.rest[0]
	path := filepath.Join(w.at, name)
	var stat unix.Stat_t
	err := unix.Fstatat(w.fd, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT) && w.create:
		// Only the destination itself is for us alone.
		mode := uint32(0o755)
		if len(w.rest) == 1 {
			mode = 0o700
		}
		if err := unix.Mkdirat(w.fd, name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
			return &fs.PathError{Op: "mkdir", Path: path, Err: err}
		}
	case err != nil:
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	case stat.Mode&unix.S_IFMT == unix.S_IFLNK:
		return w.follow(name, path)
	}
	if w.seen != nil {
		w.seen(path)
	}
	// Without O_NOFOLLOW a link made since Fstatat would be followed.
	fd, err := unix.Openat(w.fd, name, openPath|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	w.close()
	w.fd, w.at, w.rest = fd, path, w.rest[1:]
	return nil
}

// follow puts a link's target in place of the link, if nobody else can have planted it.
func (w *walker) follow(name, path string) error {
	if len(w.rest) <= w.plain {
		return cli.Failed("destination leads through the symbolic link %s", path).
			Hint("remove the link, or choose another destination")
	}
	var parent unix.Stat_t
	if err := unix.Fstat(w.fd, &parent); err != nil {
		return &fs.PathError{Op: "stat", Path: w.at, Err: err}
	}
	// In a sticky directory others cannot remove a link, but they can be the
	// first to make one.
	if !trusted(parent.Uid) || parent.Mode&0o022 != 0 {
		return cli.Failed("destination leads through the symbolic link %s, which someone else could have put there", path).
			Hint("name the real directory instead of the link")
	}
	if w.links++; w.links > maxLinks {
		return &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(w.fd, name, buffer)
	if err != nil {
		return &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	target := string(buffer[:n])
	if !filepath.IsAbs(target) {
		// at holds no links, so .. in the target can be taken lexically.
		target = filepath.Join(w.at, target)
	}
	w.rest = append(components(target), w.rest[1:]...)
	return w.toRoot()
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
