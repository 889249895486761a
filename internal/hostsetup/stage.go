package hostsetup

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// temporaryPrefix begins the names of files that are being written. No account is
// called so, and no Include of *.conf reads them.
const temporaryPrefix = ".gatepass-"

// stage writes what a change needs beside its file: the new content, and the old to
// take the change back. After it, to make the change or to take it back is a rename,
// which needs no room on the disk.
func (d *Dir) stage(c *Change) (err error) {
	if c.Change == Created || c.Change == Updated {
		if c.staged, err = d.temporary(c.Path, c.content); err != nil {
			return err
		}
	}
	if changed(*c) && c.before != nil {
		c.backup, err = d.temporary(c.Path, *c.before)
	}
	return err
}

// do makes a change that is staged.
func (d *Dir) do(c *Change) error {
	switch c.Change {
	case Created, Updated:
		return d.root.Rename(c.staged, below(c.Path))
	case Removed:
		return d.root.Remove(below(c.Path))
	}
	return nil
}

// undo takes back a change that was made.
func (d *Dir) undo(c *Change) error {
	switch {
	case !changed(*c):
		return nil
	case c.before == nil:
		return d.root.Remove(below(c.Path))
	}
	return d.root.Rename(c.backup, below(c.Path))
}

// unstage removes what stage wrote and nothing used. A file that stays is one that the
// next run removes.
func (d *Dir) unstage(changes []Change) {
	for _, c := range changes {
		for _, name := range []string{c.staged, c.backup} {
			if name != "" {
				_ = d.root.Remove(name)
			}
		}
	}
}

// temporary writes a whole file beside the one called name, with the folders above it,
// and returns its path below /etc/ssh.
func (d *Dir) temporary(name, content string) (temporary string, err error) {
	folder := path.Dir(below(name))
	if err := d.mkdir(folder); err != nil {
		return "", err
	}
	temporary = path.Join(folder, temporaryPrefix+rand.Text())
	f, err := d.root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close()); err != nil {
		_ = d.root.Remove(temporary)
		return "", err
	}
	return temporary, nil
}

func (d *Dir) mkdir(folder string) error {
	if folder == "." {
		return nil
	}
	if err := d.mkdir(path.Dir(folder)); err != nil {
		return err
	}
	err := d.root.Mkdir(folder, folderMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.root.Chmod(folder, folderMode) // whatever the umask
}

// clean removes what a run left behind that was cut off.
func (d *Dir) clean() error {
	for _, folder := range []string{Folder, PrincipalsDir, path.Dir(ConfigFile)} {
		names, err := d.list(folder)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, temporaryPrefix) {
				continue
			}
			if err := d.root.Remove(path.Join(below(folder), name)); err != nil {
				return err
			}
		}
	}
	return nil
}
