package localca

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatepass-ci/gatepass/internal/owned"
)

const (
	// ownerMayRead and anyoneMayRead are the widest modes of files with and without secrets.
	ownerMayRead  fs.FileMode = 0o600
	anyoneMayRead fs.FileMode = 0o644
	folderMode    fs.FileMode = 0o700
	// maxFile bounds a file, in bytes; ours have less than one KiB.
	maxFile = 16 << 10
)

// folder is an open folder of key files. Names are looked up in the folder that
// was opened, wherever its path leads later.
type folder struct {
	root *os.Root
	dir  string
}

// openFolder opens dir, and makes it first if that is allowed. It refuses one
// that others can enter: whoever can write there can plant an authority.
func openFolder(dir string, mayMake bool) (*folder, error) {
	if mayMake {
		if err := makeFolder(dir); err != nil {
			return nil, err
		}
	}
	before, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noneYet(dir, err)
	}
	if err != nil {
		return nil, err
	}
	if !before.IsDir() {
		return nil, fmt.Errorf("%s is not a folder; give the folder itself, not a link to it", dir)
	}
	if wide := before.Mode().Perm() &^ folderMode; wide != 0 {
		return nil, fmt.Errorf("others than its owner can enter %s (mode %04o); run chmod 700 on it, and consider whether its keys are still secret", dir, before.Mode().Perm())
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err != nil || !os.SameFile(before, opened) {
		return nil, errors.Join(fmt.Errorf("%s was exchanged for another folder while it was opened; try again", dir), err, root.Close())
	}
	return &folder{root: root, dir: dir}, nil
}

// makeFolder makes dir if it does not exist, so that it survives a crash.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, folderMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// Close lets go of the folder.
func (f *folder) Close() error { return f.root.Close() }

// path is the path of a file for people.
func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// read returns a regular file whose mode is not wider than widest.
func (f *folder) read(name string, widest fs.FileMode) ([]byte, error) {
	before, err := f.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; put the file itself there, not a link to it", f.path(name))
	}
	if wide := before.Mode().Perm() &^ widest; wide != 0 {
		return nil, fmt.Errorf("%s has mode %04o; run chmod %o on it, and if others could read a key, rotate the authority", f.path(name), before.Mode().Perm(), widest)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read: nothing is lost if it fails
	// The file that was looked at is the one that is read, not a later one.
	opened, err := file.Stat()
	if err != nil || !os.SameFile(before, opened) {
		return nil, errors.Join(fmt.Errorf("%s was exchanged while it was opened; try again", f.path(name)), err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes; restore it from a backup", f.path(name), maxFile)
	}
	return text, nil
}

// create makes a file with mode 0600, the folder's owner's, whole and durable, unless one of that name
// exists: then it leaves that as it is and reports no error. A link(2) of a
// complete file is what makes it appear; unlike rename(2), it never replaces one.
func (f *folder) create(name string, text []byte) error {
	temporary := ".new-" + rand.Text()
	if err := f.write(temporary, text); err != nil {
		return errors.Join(err, ignoreMissing(f.root.Remove(temporary)))
	}
	err := f.root.Link(temporary, name)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err := errors.Join(err, f.root.Remove(temporary)); err != nil {
		return fmt.Errorf("making %s: %w", f.path(name), err)
	}
	return f.sync()
}

func (f *folder) write(name string, text []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, ownerMayRead)
	if err != nil {
		return err
	}
	where, err := f.root.Stat(".")
	if err == nil {
		err = owned.Like(file, where)
	}
	if err == nil {
		_, err = file.Write(text)
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// sync makes the names in the folder durable.
func (f *folder) sync() error {
	self, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(self.Sync(), self.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
