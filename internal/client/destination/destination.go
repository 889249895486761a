// Package destination writes sets of credential files into a directory, so
// that a reader finds one whole set or the other, and nothing is ever written
// through a link that someone else planted. docs/decisions/0006-destination-replacement.md
// says why it is built the way it is:
//
//	DIR/.gatepass/<id>/key     a set: regular files, never changed once written
//	DIR/.gatepass/current      a link to <id>; renaming it is the one moment of change
//	DIR/key                    a link to .gatepass/current/key
package destination

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// Names that a destination keeps for itself.
const (
	stateDir    = ".gatepass"
	currentLink = "current"
	lockFile    = "lock"
	// ManifestName is the file of each set that says what it holds.
	ManifestName = ".gatepass.json"
)

// ignoreFiles keep a set out of commits and image builds. They are regular
// files, since git does not follow a .gitignore that is a link.
var ignoreFiles = [...]string{".gitignore", ".dockerignore"}

const ignoreEverything = "*\n"

// File is one file of a set. It is written with mode 0600.
type File struct {
	Name string // a plain name, no directory
	Data []byte
}

// Dir is a destination that was found safe to write to.
type Dir struct {
	root *os.Root
	path string
	// step is called before every change to the file system, with its name. It
	// lets tests stop between any two; nil in production.
	step func(string) error
}

// Open makes the directory if it is missing and checks that a set with these
// file names can be written to it. It is called before a join is made, so that
// no ID token is spent on a destination that cannot take the answer.
func Open(ctx context.Context, path string, names []string) (*Dir, error) {
	return open(ctx, path, names, nil)
}

func open(ctx context.Context, path string, names []string, step func(string) error) (*Dir, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", path, err)
	}
	root, err := openSafely(absolute, true)
	if err != nil {
		return nil, explain(path, err)
	}
	d := &Dir{root: root, path: absolute, step: step}
	err = d.prepare(ctx, names)
	if err != nil {
		root.Close()
		return nil, explain(path, err)
	}
	return d, nil
}

// Path is the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

func (d *Dir) prepare(ctx context.Context, names []string) error {
	if err := d.checkNames(names); err != nil {
		return err
	}
	if err := d.private(); err != nil {
		return err
	}
	state, unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return d.probe(state)
}

// private makes sure that nobody else can read or change the directory. A
// directory that others use is not ours to close to them.
func (d *Dir) private() error {
	info, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	if !ownedByUs(info) {
		return failure.New(failure.Local, "destination %s belongs to another user", d.path).
			Hint("use a directory of your own; it is made when it does not exist")
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	foreign, err := d.foreign()
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return failure.New(failure.Local, "destination %s is open to others (mode %04o) and holds other files: %s", d.path, info.Mode().Perm(), list(foreign)).
			Hint("give a directory for the credentials alone, such as %s", filepath.Join(d.path, "gatepass"))
	}
	return d.root.Chmod(".", 0o700)
}

// checkNames refuses if a name of the set is taken by something that no
// earlier set put there.
func (d *Dir) checkNames(names []string) error {
	var taken []string
	for _, name := range names {
		if !filepath.IsLocal(name) || filepath.Base(name) != name || name == stateDir {
			return fmt.Errorf("file name %q is not a plain name", name)
		}
		ours, err := d.ours(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && !ours {
			taken = append(taken, name)
		}
	}
	for _, name := range append([]string{stateDir}, ignoreFiles[:]...) {
		ours, err := d.ours(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && !ours {
			taken = append(taken, name)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return failure.New(failure.Local, "destination %s holds files that gatepass did not write, and they are in the way: %s", d.path, list(taken)).
		Hint("move them away (files of tbot can be deleted), or choose another --destination")
}

// ours reports whether the name in the directory was put there by us. It never
// follows a link.
func (d *Dir) ours(name string) (bool, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return false, err
	}
	if !ownedByUs(info) {
		return false, nil
	}
	switch {
	case name == stateDir:
		return info.IsDir(), nil
	case slices.Contains(ignoreFiles[:], name):
		if !info.Mode().IsRegular() || info.Size() != int64(len(ignoreEverything)) {
			return false, nil
		}
		data, err := d.root.ReadFile(name)
		return string(data) == ignoreEverything, err
	case info.Mode().Type() == fs.ModeSymlink:
		target, err := d.root.Readlink(name)
		return target == linkTarget(name), err
	}
	return false, nil
}

// foreign lists what is in the directory and not ours.
func (d *Dir) foreign() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var foreign []string
	for _, entry := range entries {
		ours, err := d.ours(entry.Name())
		if err != nil {
			return nil, err
		}
		if !ours {
			foreign = append(foreign, entry.Name())
		}
	}
	return foreign, nil
}

func linkTarget(name string) string { return stateDir + "/" + currentLink + "/" + name }

// list joins names for a message; the first few tell enough.
func list(names []string) string {
	const most = 6
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, failure.Clean(name))
	}
	if len(names) > most {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(quoted, ", ")
}

// explain adds what to do to the errors of the operating system.
func explain(path string, err error) error {
	var known *failure.Error
	if errors.As(err, &known) {
		return err
	}
	e := failure.New(failure.Local, "destination %s: %w", path, err)
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		e.Hint("choose a --destination that this user can write to")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Hint("the disk is full: make room, or choose a --destination on another one")
	case errors.Is(err, syscall.ENOTDIR):
		e.Hint("a file is in the way; choose another --destination")
	default:
		e.Hint("choose another --destination")
	}
	return e
}
