package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gatepass-ci/gatepass/internal/owned"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// ErrNoData says that a directory holds no store.
var ErrNoData = errors.New("no Gatepass data")

// ensureFile makes sure that the database's file exists and that nobody else can
// read it. SQLite gives the files beside it the same mode.
func ensureFile(dir string, mustExist bool) error {
	if err := checkDir(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, FileName)
	if err := checkLog(path); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: move it away", path)
	case err == nil && info.Size() == 0 && mustExist: // SQLite would make a new database of it
		return fmt.Errorf("%w in %s: %s is empty; restore it from a backup", ErrNoData, dir, FileName)
	case err == nil:
		return tighten(path)
	case !errors.Is(err, fs.ErrNotExist):
		return unusable(dir, err)
	case mustExist:
		return fmt.Errorf("%w in %s: check the path, or start a new store with: gatepassctl serve --data %[2]s", ErrNoData, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unusable(dir, err)
	}
	if err := create(dir, path); err != nil {
		return unusable(dir, err)
	}
	return nil
}

// checkLog refuses a log without its database. SQLite would remove it, and it may have what was stored last.
func checkLog(path string) error {
	log, err := os.Lstat(path + "-wal")
	if err != nil || log.Size() == 0 {
		return nil // another error is told by what follows
	}
	// The database is looked at last: another process may just have made both.
	info, err := os.Lstat(path)
	if err == nil && info.Size() > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%s is missing or empty, and %[1]s-wal beside it holds what was stored last: put the database back where it was, or, if it is lost, move its log away with: mv %s %s",
		path, words.ShellWord(path+"-wal"), words.ShellWord(path+"-wal.away"))
}

// checkDir refuses a directory in which anyone can put another database in the
// place of ours. A group is let through: with a umask of 002 every directory has one.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("anyone can write in the data directory %s: run chmod 700 on it, and see that nobody has put anything there", dir)
	}
	return nil // another error is told by what follows
}

// create makes an empty file, which is an empty database. It is written under
// another name first: closing a descriptor of a file drops every lock that the
// process holds on it (fcntl(2)), and another store of this process may have
// the database open by then.
func create(dir, path string) (err error) {
	tmp, err := os.CreateTemp(dir, ".new-*.db") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	where, err := os.Stat(dir)
	if err == nil {
		err = owned.Like(tmp, where) // and SQLite gives those beside it the same owner
	}
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link leaves the file of whoever was faster.
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // a parent that only others may list was not changed by us
	}
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tighten takes the files away from everyone but their owner, in case they
// came out of a backup with another mode.
func tighten(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Lstat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm()&0o077 == 0 {
			continue
		}
		if err == nil {
			err = os.Chmod(path+suffix, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("taking %s away from other users: %w", path+suffix, err)
		}
	}
	return nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("the data directory %s cannot be used: %w: give it to the user that runs this command, mode 0700", dir, err)
}

// openedFile is a file of the database as it was when it was opened.
type openedFile struct {
	path string
	info os.FileInfo
}

// noteFiles remembers which files SQLite has open.
func (s *Store) noteFiles() error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		path := filepath.Join(s.dir, FileName) + suffix
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		s.opened = append(s.opened, openedFile{path, info})
	}
	return nil
}

// checkFiles returns an error if a file of the database is no longer the one that SQLite
// has open. What is written to one that was removed or replaced is lost when this process
// ends, and another process does not see it.
func (s *Store) checkFiles() error {
	for _, f := range s.opened {
		if info, err := os.Lstat(f.path); err != nil || !os.SameFile(f.info, info) {
			return fmt.Errorf("%s was removed or replaced while it was open: stop this process, restore the database if it is not the right one, and start again with: gatepassctl serve --data %s",
				f.path, words.ShellWord(s.dir))
		}
	}
	return nil
}
