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

// maxDepth bounds how deep a host can make us go.
const maxDepth = 128

// Download copies files of the host. Into destination if that is a folder, else
// as destination. Whatever names the host gives, nothing is written outside of it.
func (c *Copier) Download(ctx context.Context, sources []string, destination string) (Total, error) {
	for _, source := range sources {
		if err := c.download(ctx, source, destination, len(sources) > 1); err != nil {
			return c.total, err
		}
	}
	return c.finish()
}

func (c *Copier) download(ctx context.Context, source, destination string, several bool) error {
	info, err := c.Remote.Stat(source)
	switch {
	case err != nil:
		return explain("looking at", source, err)
	case info.IsDir() && !c.Recursive:
		return needFolderFlag(source)
	case !info.IsDir() && !info.Mode().IsRegular():
		return cli.Failed("%s is no regular file", words.Clean(source)).Hint("copy files and folders only")
	}
	root, name, err := localPlace(path.Base(source), destination, several, info.IsDir())
	if err != nil {
		return err
	}
	defer root.Close()
	d := &download{Copier: c, root: root, tree: name}
	if info.IsDir() {
		return d.folder(ctx, source, name, info.Mode(), 0)
	}
	return d.file(ctx, source, name)
}

// localPlace opens the folder that is written to, and names what will be in it.
func localPlace(base, destination string, several, folder bool) (*os.Root, string, error) {
	info, err := os.Stat(destination)
	contents := base == "." || base == ".." || base == "/"
	into := err == nil && info.IsDir()
	switch {
	case into && contents:
		base = "."
	case into:
		if !plainName(base) {
			return nil, "", hostileName(base)
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, "", explain("looking at", destination, err)
	case several || !folder && (strings.HasSuffix(destination, "/") || contents):
		return nil, "", cli.Failed("%s is no folder", words.Clean(destination)).Hint("make it first: mkdir -p DIR")
	default:
		absolute, err := filepath.Abs(destination)
		if err != nil {
			return nil, "", err
		}
		destination, base = filepath.Dir(absolute), filepath.Base(absolute)
	}
	root, err := os.OpenRoot(destination)
	return root, base, explain("opening", destination, err)
}

// download is one source on its way into one folder.
type download struct {
	*Copier
	root *os.Root // nothing is reached but through it, and it lets nothing out
	tree string   // the name in it of what is copied
}

// plainName reports whether a name from the host is one name.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00") && filepath.IsLocal(name)
}

func hostileName(name string) error {
	return cli.Failed("the host lists a file called %q, which is no name of a file", words.Clean(name)).
		Hint("nothing was written for it; such a name is an attempt to write elsewhere, so look at who runs the host")
}

func (d *download) folder(ctx context.Context, remote, local string, mode fs.FileMode, depth int) error {
	if depth > maxDepth {
		return cli.Failed("%s is more than %d folders deep", words.Clean(remote), maxDepth).Hint("copy a folder further down")
	}
	entries, err := d.list(ctx, remote)
	if err != nil {
		return err
	}
	made, err := d.makeLocal(local)
	if err != nil {
		return explain("making", local, err)
	}
	for _, entry := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !plainName(entry.Name()) {
			return hostileName(entry.Name())
		}
		from, to := path.Join(remote, entry.Name()), filepath.Join(local, entry.Name())
		switch kind := entry.Mode().Type(); {
		case kind.IsDir():
			err = d.folder(ctx, from, to, entry.Mode(), depth+1)
		case kind.IsRegular():
			err = d.file(ctx, from, to)
		case kind&fs.ModeSymlink != 0:
			err = d.link(from, to)
		default:
			d.skipped = append(d.skipped, from+" is no file")
		}
		if err != nil {
			return err
		}
	}
	if !made {
		return nil
	}
	return explain("setting the mode of", local, d.root.Chmod(local, kept(mode)))
}

// makeLocal makes a folder unless it is there, for us alone until it is complete.
func (d *download) makeLocal(name string) (made bool, err error) {
	if info, err := d.root.Stat(name); err == nil && info.IsDir() {
		return false, nil
	}
	return true, d.root.Mkdir(name, 0o700)
}

// file copies what a file has when it is opened: no more of one that grows, as scp does, and
// nothing of one that turns out to have less.
func (d *download) file(ctx context.Context, remote, local string) error {
	from, err := d.Remote.Open(remote)
	if err != nil {
		return explain("reading", remote, err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return explain("looking at", remote, err)
	}
	if info.Size() < 0 { // 64 bits without a sign, as the host has it
		return cli.Failed("the host says that %s has %d bytes", words.Clean(remote), uint64(info.Size())).Hint("leave it out of what is copied")
	}
	return explain("writing", local, d.replace(local, func(partial string) error {
		to, err := d.root.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		writer := d.count(ctx, remote, info.Size())
		writer.writer, writer.exact = to, true
		_, err = from.WriteTo(writer)
		err = writer.whole(remote, err)
		if err == nil {
			err = to.Chmod(kept(info.Mode()))
		}
		if err == nil {
			err = to.Sync()
		}
		if err = errors.Join(err, to.Close()); err == nil {
			d.total.Files++
			d.total.Bytes += writer.done
		}
		return err
	}))
}

// link makes a link that stays in the tree.
func (d *download) link(remote, local string) error {
	target, err := d.Remote.ReadLink(remote)
	if err != nil {
		return explain("reading", remote, err)
	}
	below, err := filepath.Rel(d.tree, local)
	if err != nil || d.behindLink(filepath.Dir(local)) || !localLink(filepath.ToSlash(below), target) {
		d.skipped = append(d.skipped, remote+" is a link that leads out of the copied folder")
		return nil
	}
	return explain("writing", local, d.replace(local, func(partial string) error { return d.root.Symlink(target, partial) }))
}

// behindLink reports whether a folder of the tree is reached by a link that was there already.
func (d *download) behindLink(folder string) bool {
	for ; folder != d.tree && folder != "."; folder = filepath.Dir(folder) {
		if info, err := d.root.Lstat(folder); err != nil || !info.IsDir() {
			return true
		}
	}
	return false
}

// replace makes something beside name and renames it to name, or leaves name as it was.
func (d *download) replace(name string, fill func(partial string) error) error {
	partial := filepath.Join(filepath.Dir(name), partialName())
	err := fill(partial)
	if err == nil {
		err = d.root.Rename(partial, name)
	}
	if err != nil {
		_ = d.root.Remove(partial)
	}
	return err
}
