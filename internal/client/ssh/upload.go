package ssh

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Upload copies local files to the host. Into destination if that is a folder
// there, else as destination.
func (c *Copier) Upload(ctx context.Context, sources []string, destination string) (Total, error) {
	into, err := c.remoteFolder(destination, len(sources) > 1)
	if err != nil {
		return c.total, err
	}
	for _, source := range sources {
		to := destination
		if base := filepath.Base(source); into && base != "." && base != ".." && base != string(filepath.Separator) {
			to = path.Join(destination, base)
		}
		info, err := os.Stat(source) // what is named is followed
		switch {
		case err != nil:
			err = explain("reading", source, err)
		case info.IsDir() && !c.Recursive:
			err = needFolderFlag(source)
		case info.IsDir():
			err = c.putFolder(ctx, source, to, ".", info.Mode())
		default:
			err = c.putFile(ctx, source, to)
		}
		if err != nil {
			return c.total, err
		}
	}
	return c.finish()
}

// remoteFolder reports whether the destination is a folder, and fails if it must be one and is not.
func (c *Copier) remoteFolder(destination string, must bool) (bool, error) {
	info, err := c.Remote.Stat(destination)
	switch {
	case err == nil && info.IsDir():
		return true, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, explain("looking at", destination, err)
	case must || strings.HasSuffix(destination, "/") && (err == nil || !c.Recursive):
		return false, cli.Failed("%s is no folder on the host", words.Clean(destination)).Hint("make it first: gatepass ssh HOST -- mkdir -p DIR")
	}
	return false, nil
}

// putFolder copies a folder. below is its path in the copied tree.
func (c *Copier) putFolder(ctx context.Context, local, remote, below string, mode fs.FileMode) error {
	entries, err := os.ReadDir(local)
	if err != nil {
		return explain("reading", local, err)
	}
	made, err := c.makeRemote(remote)
	if err != nil {
		return explain("making", remote, err)
	}
	for _, entry := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		from, to, in := filepath.Join(local, entry.Name()), path.Join(remote, entry.Name()), path.Join(below, entry.Name())
		info, err := entry.Info()
		if err != nil {
			return explain("reading", from, err)
		}
		switch kind := entry.Type(); {
		case kind.IsDir():
			err = c.putFolder(ctx, from, to, in, info.Mode())
		case kind.IsRegular():
			err = c.putFile(ctx, from, to)
		case kind&fs.ModeSymlink != 0:
			err = c.putLink(from, to, in)
		default:
			c.skipped = append(c.skipped, from+" is no file")
		}
		if err != nil {
			return err
		}
	}
	if !made {
		return nil
	}
	return explain("setting the mode of", remote, c.Remote.Chmod(remote, mode&permissions))
}

// makeRemote makes a folder unless it is there; a link to one is one.
func (c *Copier) makeRemote(name string) (made bool, err error) {
	if info, err := c.Remote.Stat(name); err == nil && info.IsDir() {
		return false, nil
	}
	return true, c.Remote.Mkdir(name)
}

// putFile copies a file's content and mode.
func (c *Copier) putFile(ctx context.Context, local, remote string) error {
	from, err := openRegular(local)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return explain("reading", local, err)
	}
	if there, err := c.Remote.Stat(remote); err == nil && there.IsDir() {
		return cli.Failed("%s is a folder on the host", words.Clean(remote)).Hint("remove it first, or name another destination")
	}
	reader := c.count(ctx, local, info.Size())
	reader.reader = from
	return explain("writing", remote, c.replaceRemote(remote, func(partial string) error {
		return c.fill(partial, reader, info.Mode())
	}))
}

// fill writes a new file on the host.
func (c *Copier) fill(partial string, from *counted, mode fs.FileMode) error {
	to, err := c.Remote.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	// Nobody else reads it before it has its own mode.
	err = to.Chmod(0o600)
	if err == nil {
		_, err = to.ReadFromWithConcurrency(from, concurrent)
	}
	if err == nil {
		err = to.Chmod(mode & permissions)
	}
	if _, ok := c.Remote.HasExtension("fsync@openssh.com"); ok && err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err == nil {
		c.total.Files++
		c.total.Bytes += from.done
	}
	return err
}

// replaceRemote makes something beside name and renames it to name, or leaves
// name as it was.
func (c *Copier) replaceRemote(name string, fill func(partial string) error) error {
	partial := path.Join(path.Dir(name), partialName())
	err := fill(partial)
	if err == nil {
		err = c.rename(partial, name)
	}
	if err != nil {
		_ = c.Remote.Remove(partial)
	}
	return err
}

// rename replaces what has the name, in one step. SFTP itself (version 3) refuses
// to; OpenSSH's extension does not (its PROTOCOL, section 4.3).
func (c *Copier) rename(from, to string) error {
	if _, ok := c.Remote.HasExtension("posix-rename@openssh.com"); ok {
		return c.Remote.PosixRename(from, to)
	}
	if _, err := c.Remote.Lstat(to); err == nil {
		return cli.Failed("%s is there, and the host cannot replace a file in one step", words.Clean(to)).
			Hint("remove it first: gatepass ssh HOST -- rm FILE")
	}
	return c.Remote.Rename(from, to)
}

// putLink copies a link that stays in the tree.
func (c *Copier) putLink(local, remote, below string) error {
	target, err := os.Readlink(local)
	if err != nil {
		return explain("reading", local, err)
	}
	if !localLink(below, target) {
		c.skipped = append(c.skipped, local+" is a link that leads out of the copied folder")
		return nil
	}
	return explain("writing", remote, c.replaceRemote(remote, func(partial string) error { return c.Remote.Symlink(target, partial) }))
}
