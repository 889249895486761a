// Package destination writes sets of credential files into a directory, so
// that a reader finds one whole set or the other, and nothing is ever written
// through a link that someone else planted. docs/decisions/0006-destination-replacement.md
// says why it is built the way it is:
//
//	DIR/.gatepass/<id>/key     a set: regular files, never changed once written
//	DIR/.gatepass/current      a link to <id>; renaming it is the one moment of change
//	DIR/key                    a link to .gatepass/current/key
//
// A set may have directories one level deep: DIR/name is then a link to a directory of the set.
package destination

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Names that a destination keeps for itself.
const (
	stateDir    = ".gatepass"
	currentLink = "current"
	setPrefix   = "set-"
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
	Name string // a plain name, or a directory's and a plain name with a slash between
	Data []byte
}

// Config says where a set goes to and who may use it.
type Config struct {
	Path  string   // the directory; it is made if missing
	Names []string // of the files that will be written
	Size  int      // bytes that a set takes at most; zero means 32 KiB
	// Access is for others than the user that runs gatepass; its zero value is for nobody.
	Access Access
	// Within is a directory above Path, or empty. No link below it is followed, whoever
	// made it: what is there may come from a repository that others commit to.
	Within string
}

// Dir is a destination that was found safe to write to.
type Dir struct {
	root   *os.Root
	path   string
	access Access
	// warnings are for the user: what was asked for and is not possible here.
	warnings []string
	// step is called before every change to the file system, with its name. It
	// lets tests stop between any two; nil in production.
	step func(string) error
}

// Open makes the directory if it is missing and checks that a set with these
// file names and of this size can be written to it. It is called before a join
// is made, so that no ID token is spent on a destination that cannot take the answer.
func Open(ctx context.Context, config Config) (*Dir, error) {
	return open(ctx, config, nil)
}

func open(ctx context.Context, config Config, step func(string) error) (*Dir, error) {
	absolute, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, fmt.Errorf("destination %s: %w", config.Path, err)
	}
	plain, err := componentsBelow(config.Within, absolute)
	if err != nil {
		return nil, err
	}
	root, err := openSafely(absolute, plain, true)
	if err != nil {
		return nil, explain(config.Path, err)
	}
	d := &Dir{root: root, path: absolute, access: config.Access, step: step}
	err = d.prepare(ctx, config.Names, config.Size)
	if err != nil {
		root.Close()
		return nil, explain(config.Path, err)
	}
	return d, nil
}

// Path is the directory's absolute path.
func (d *Dir) Path() string { return d.path }

// Warnings are what was asked for and is not possible here.
func (d *Dir) Warnings() []string { return d.warnings }

// Close lets go of the directory.
func (d *Dir) Close() error { return d.root.Close() }

func (d *Dir) prepare(ctx context.Context, names []string, size int) error {
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
	return d.probe(state, size)
}

// private makes sure that nobody but the chosen readers can read or change the
// directory. A directory that others use is not ours to close to them.
func (d *Dir) private() error {
	dot, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer dot.Close()
	info, err := dot.Stat()
	if err != nil {
		return err
	}
	if !d.owns(info) {
		return cli.Failed("destination %s belongs to another user", d.path).
			Hint("use a directory of your own; it is made when it does not exist")
	}
	if info.Mode().Perm()&0o077 != 0 && !d.access.granted(dot) {
		foreign, err := d.foreign()
		if err != nil {
			return err
		}
		if len(foreign) > 0 {
			return cli.Failed("destination %s is open to others (mode %04o) and holds other files: %s", d.path, info.Mode().Perm(), list(foreign)).
				Hint("give a directory for the credentials alone, such as %s", filepath.Join(d.path, "gatepass"))
		}
		if err := dot.Chmod(0o700); err != nil {
			return err
		}
	}
	return d.give(dot)
}

// checkNames refuses if a name of the set is taken by something that no
// earlier set put there.
func (d *Dir) checkNames(names []string) error {
	for _, name := range names {
		if !plainName(name) {
			return fmt.Errorf("file name %q is not a plain name", name)
		}
	}
	var taken []string
	for _, name := range slices.Concat(topNames(names), []string{stateDir}, ignoreFiles[:]) {
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
	return cli.Failed("destination %s holds files that gatepass did not write, and they are in the way: %s", d.path, list(taken)).
		Hint("move them away (files of tbot can be deleted), or choose another --destination")
}

// ours reports whether the name in the directory was put there by us. It never
// follows a link.
func (d *Dir) ours(name string) (bool, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return false, err
	}
	link := info.Mode().Type() == fs.ModeSymlink
	if !d.owns(info) && !(link && ownedBy(info, 0)) { // root makes links for another owner, and leaves them its own
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
	case link:
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

// plainName allows a name, or one directory with a name in it.
func plainName(name string) bool {
	dir, base, nested := strings.Cut(name, "/")
	if nested && (strings.Contains(base, "/") || base == "" || base == "." || base == "..") {
		return false
	}
	return filepath.IsLocal(dir) && dir != "." && dir != stateDir && !slices.Contains(ignoreFiles[:], dir)
}

// topNames are the names that a set has in the directory itself, each once.
func topNames(names []string) []string {
	var top []string
	for _, name := range names {
		name, _, _ = strings.Cut(name, "/")
		if !slices.Contains(top, name) {
			top = append(top, name)
		}
	}
	return top
}

func linkTarget(name string) string { return stateDir + "/" + currentLink + "/" + name }

// list joins names for a message; the first few tell enough.
func list(names []string) string {
	const most = 6
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, words.Clean(name))
	}
	if len(names) > most {
		quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(quoted, ", ")
}

// explain adds what to do to the errors of the operating system.
func explain(path string, err error) error {
	var known *cli.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	e := cli.Failed("destination %s: %w", path, err)
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

// CurrentSet is the directory of the set that a destination holds, a link. Who
// opens it once reads files of one set, whatever is written meanwhile.
func CurrentSet(path string) string { return filepath.Join(path, stateDir, currentLink) }

// Is reports whether a directory of the tree is a destination that holds a set, or what is
// left of one that was being written when its writer was killed.
func Is(tree fs.FS, dir string) bool {
	entries, err := fs.ReadDir(tree, path.Join(dir, stateDir))
	return err == nil && slices.ContainsFunc(entries, func(entry fs.DirEntry) bool {
		if entry.IsDir() {
			return strings.HasPrefix(entry.Name(), setPrefix)
		}
		return entry.Name() == currentLink && entry.Type() == fs.ModeSymlink
	})
}
