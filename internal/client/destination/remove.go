package destination

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Removed says what Remove did.
type Removed struct {
	Path    string   `json:"path"`
	Files   []string `json:"removed"`           // our names that were removed
	Foreign []string `json:"left,omitempty"`    // what is not ours and was left
	Gone    bool     `json:"directory_removed"` // the directory itself was removed, or was not there
}

// Remove overwrites and deletes every set in the directory, then the
// directory if nothing else is in it. What gatepass did not write is left and
// named. To remove what is not there is no error.
func Remove(ctx context.Context, path string) (Removed, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return Removed{}, explain(path, err)
	}
	removed := Removed{Path: absolute}
	root, err := openSafely(absolute, 0, false)
	if errors.Is(err, fs.ErrNotExist) {
		removed.Gone = true
		return removed, nil
	}
	if err != nil {
		return removed, explain(path, err)
	}
	defer root.Close()
	d := &Dir{root: root, path: absolute}
	if err := d.adopt(); err != nil {
		return removed, explain(path, err)
	}
	err = d.remove(ctx, &removed)
	return removed, explain(path, err)
}

// adopt lets root remove a destination that it made for another user.
func (d *Dir) adopt() error {
	info, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		d.access.Owner = &Owner{UID: int(stat.Uid), GID: -1}
	}
	return nil
}

func (d *Dir) remove(ctx context.Context, removed *Removed) error {
	ours, err := d.ours(stateDir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ours {
		// No set was ever written here: nothing is ours.
		removed.Foreign, err = d.foreign()
		return err
	}
	if err != nil {
		return err
	}
	state, unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// Key material first: whatever fails later, that is gone.
	if err := sweep(state, ""); err != nil {
		return err
	}
	if err := state.RemoveAll(currentLink); err != nil {
		return err
	}
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == stateDir {
			continue
		}
		ours, err := d.ours(entry.Name())
		switch {
		case err != nil:
			return err
		case !ours:
			removed.Foreign = append(removed.Foreign, entry.Name())
			continue
		}
		if err := d.root.Remove(entry.Name()); err != nil {
			return err
		}
		removed.Files = append(removed.Files, entry.Name())
	}
	if err := d.root.RemoveAll(stateDir); err != nil {
		return err
	}
	if len(removed.Foreign) > 0 {
		return nil
	}
	// A mount point or a working directory cannot be removed, and need not be.
	// The root's name is the path without links: a link that leads here stays.
	removed.Gone = syscall.Rmdir(d.root.Name()) == nil
	return nil
}

// Destroy overwrites the regular files below a name in a directory of ours and removes
// it. The overwriting is an effort and no promise: a copying or journaling file system
// may keep what a file no longer shows. The certificates end by themselves within minutes.
// With sync it waits until the disk has what was overwritten.
func Destroy(dir *os.Root, name string, sync bool) error {
	if info, err := dir.Lstat(name); err == nil && info.Mode().Type() == fs.ModeSymlink {
		return dir.Remove(name)
	}
	_ = fs.WalkDir(dir.FS(), name, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			overwrite(dir, path, sync)
		}
		return nil
	})
	return dir.RemoveAll(name)
}

// maxOverwritten bounds what is overwritten of a file; every file of ours is smaller.
const maxOverwritten = 1 << 20

// overwrite leaves a file alone that has a second name: what is behind it is somebody's own.
func overwrite(dir *os.Root, name string, sync bool) {
	file, err := dir.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() > maxOverwritten {
		return
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 1 {
		_, _ = file.WriteAt(make([]byte, info.Size()), 0)
		if sync {
			_ = file.Sync()
		}
	}
}
