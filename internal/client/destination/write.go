package destination

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

// Replace puts a set in place of the one before. Until the rename in switchTo
// readers find the old set, after it the new one; a failure or a kill anywhere
// leaves one of the two whole. Files of the old set are overwritten before
// they are removed.
//
// Nothing is synced to disk: after a power cut the job is gone too, and a new
// join is a second's work.
func (d *Dir) Replace(ctx context.Context, files []File) error {
	return explain(d.path, d.replace(ctx, files))
}

func (d *Dir) replace(ctx context.Context, files []File) error {
	state, unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = file.Name
	}
	if err := d.checkNames(names); err != nil {
		return err
	}
	id, err := d.stage(state, files)
	if err != nil {
		return errors.Join(err, sweep(state, current(state)))
	}
	if err := d.publish(state, id, topNames(names)); err != nil {
		return errors.Join(err, sweep(state, current(state)))
	}
	if err := d.dropLinks(topNames(names)); err != nil {
		return err
	}
	return d.change("sweep", func() error { return sweep(state, id) })
}

// stage writes the files into a new directory that nothing refers to yet.
func (d *Dir) stage(state *os.Root, files []File) (string, error) {
	id := setPrefix + strings.ToLower(rand.Text())
	if err := d.change("mkdir "+id, func() error { return d.mkdir(state, id) }); err != nil {
		return "", err
	}
	for _, file := range files {
		if dir, _, nested := strings.Cut(file.Name, "/"); nested {
			if err := d.mkdir(state, id+"/"+dir); err != nil && !errors.Is(err, fs.ErrExist) {
				return "", err
			}
		}
		write := func() error { return create(state, id+"/"+file.Name, file.Data, d.give) }
		if err := d.change("write "+file.Name, write); err != nil {
			return "", err
		}
	}
	return id, nil
}

// mkdir makes a directory of a set.
func (d *Dir) mkdir(state *os.Root, name string) error {
	if err := state.Mkdir(name, 0o700); err != nil {
		return err
	}
	dir, err := state.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return d.give(dir)
}

// publish makes the names in the directory, and then points them at the set.
func (d *Dir) publish(state *os.Root, id string, names []string) error {
	for _, name := range ignoreFiles {
		if _, err := d.root.Lstat(name); err == nil {
			continue
		}
		// Made elsewhere and moved, so that it is never seen half written.
		write := func() error { return create(state, id+name, []byte(ignoreEverything), d.give) }
		if err := d.change("write "+name, write); err != nil {
			return err
		}
		if err := d.root.Rename(stateDir+"/"+id+name, name); err != nil {
			return err
		}
	}
	for _, name := range names {
		if _, err := d.root.Lstat(name); err == nil {
			continue // checkNames found it to be ours
		}
		if err := d.change("link "+name, func() error { return d.root.Symlink(linkTarget(name), name) }); err != nil {
			return err
		}
	}
	return d.switchTo(state, id)
}

// switchTo is the moment of change: rename(2) replaces the link in one step.
func (d *Dir) switchTo(state *os.Root, id string) error {
	next := id + ".next"
	if err := d.change("link current", func() error { return state.Symlink(id, next) }); err != nil {
		return err
	}
	return d.change("rename current", func() error { return state.Rename(next, currentLink) })
}

// dropLinks removes our links to files that the set no longer has.
func (d *Dir) dropLinks(keep []string) error {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.Type() != fs.ModeSymlink || slices.Contains(keep, name) {
			continue
		}
		if ours, err := d.ours(name); err != nil || !ours {
			continue
		}
		if err := d.change("unlink "+name, func() error { return d.root.Remove(name) }); err != nil {
			return err
		}
	}
	return nil
}

// probe writes as much as a set takes and removes it again.
func (d *Dir) probe(state *os.Root, size int) error {
	if size == 0 {
		size = 32 << 10
	}
	name := "probe-" + strings.ToLower(rand.Text())
	return d.change("probe", func() error {
		err := create(state, name, make([]byte, size), nil)
		if remove := state.Remove(name); err == nil {
			err = remove
		}
		return err
	})
}

// create writes a new file; O_EXCL never follows a link and never opens what is
// there. give, if it is not nil, hands it to whom it is for.
func create(root *os.Root, name string, data []byte, give func(*os.File) error) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil && give != nil {
		err = give(file)
	}
	return errors.Join(err, file.Close())
}

// sweep destroys every set but one, and what a killed writer left.
func sweep(state *os.Root, keep string) error {
	entries, err := fs.ReadDir(state.FS(), ".")
	if err != nil {
		return err
	}
	var failed error
	for _, entry := range entries {
		switch name := entry.Name(); {
		case name == keep, name == currentLink, name == lockFile:
		default:
			failed = errors.Join(failed, Destroy(state, name, false))
		}
	}
	return failed
}

// current is the name of the set in use, empty if there is none.
func current(state *os.Root) string {
	id, err := state.Readlink(currentLink)
	if err != nil {
		return ""
	}
	return id
}

// lock keeps other writers out. The lock is on a file of ours, opened without
// following links from the directory that was checked: a library that takes a
// path would look it up anew.
func (d *Dir) lock(ctx context.Context) (*os.Root, func(), error) {
	err := d.change("mkdir "+stateDir, func() error { return d.root.Mkdir(stateDir, 0o700) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, nil, err
	}
	if ours, err := d.ours(stateDir); err != nil || !ours {
		return nil, nil, errors.Join(err, fmt.Errorf("%s is not a directory of ours", stateDir))
	}
	state, err := d.root.OpenRoot(stateDir)
	if err != nil {
		return nil, nil, err
	}
	file, err := d.openLock(state)
	if err != nil {
		state.Close()
		return nil, nil, err
	}
	unlock := func() { file.Close(); state.Close() }
	if err := flock(ctx, file); err != nil {
		unlock()
		return nil, nil, cli.Failed("another gatepass is writing to %s: %w", d.path, err).
			Hint("give each job that runs at the same time its own --destination")
	}
	return state, unlock, nil
}

// openLock opens the lock file. os.Root follows a link that stays inside it,
// O_NOFOLLOW or not, so what was opened is compared with what the name is.
func (d *Dir) openLock(state *os.Root) (*os.File, error) {
	file, err := state.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err == nil {
		var named fs.FileInfo
		if named, err = state.Lstat(lockFile); err == nil && !os.SameFile(opened, named) {
			err = fmt.Errorf("%s/%s is not a file of ours", stateDir, lockFile)
		}
	}
	if err == nil {
		err = d.access.giveTo(file)
	}
	if err == nil {
		err = d.giveState(state)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lockWait is how long a writer waits for another; writing takes milliseconds.
const lockWait = 5 * time.Second

func flock(ctx context.Context, file *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if err := wait.For(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// change changes the file system, unless a test stops before it.
func (d *Dir) change(name string, do func() error) error {
	if d.step != nil {
		if err := d.step(name); err != nil {
			return err
		}
	}
	return do()
}

// giveState hands our state directory to whom the destination is for.
func (d *Dir) giveState(state *os.Root) error {
	dir, err := state.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	return d.give(dir)
}

// owns reports whether a file is ours: of the user we run as, or of the one the
// destination was made for.
func (d *Dir) owns(info fs.FileInfo) bool {
	return ownedBy(info, os.Geteuid()) || d.access.Owner != nil && ownedBy(info, d.access.Owner.UID)
}

func ownedBy(info fs.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}
