package ssh

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// concurrent is how many packets of 32 KiB are under way for one file, at most.
const concurrent = 64

// Copier copies files and folders to and from a host over SFTP. A file gets its
// name when it is whole: it is written under another and renamed over what was there.
type Copier struct {
	Remote    *sftp.Client
	Recursive bool // whether folders are copied, with all that is in them
	// Progress, if set, is told now and then how much of a file is copied.
	Progress func(name string, done, total int64)

	total Total
	// skipped are things that are neither file, folder nor harmless link.
	skipped []string
}

// Total is what was copied.
type Total struct {
	Files int64
	Bytes int64
}

// Transfer lets a copier work over the connection.
func (c *Conn) Transfer(ctx context.Context, copier *Copier, work func() (Total, error)) (Total, error) {
	// The files stop by themselves at a signal, which leaves time to remove a
	// partial one; a host that does not answer must not keep us.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { c.Close() }) })()
	remote, err := sftp.NewClient(c.Client, sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(concurrent))
	if err != nil {
		return Total{}, cli.Errorf(StatusConnection, "the host offers no SFTP: %s", words.Clean(err.Error())).
			Hint("have `Subsystem sftp internal-sftp` in its sshd_config, and no force_command in the bot's roles")
	}
	defer remote.Close()
	copier.Remote = remote
	total, err := work()
	if broken := c.Broken(); broken != nil && err != nil {
		err = cli.Errorf(StatusConnection, "the connection to the host broke off: %w", broken).Hint("run it again: files that are not whole have not got their names")
	}
	return total, err
}

// permissions are what is kept of a mode: what a stranger's file may do with a
// user's rights (setuid) is not.
const permissions fs.FileMode = 0o777

// partialName is where a file is written before it is whole.
func partialName() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails: crypto/rand
	return ".gatepass-" + hex.EncodeToString(random)
}

// needFolderFlag refuses a folder where only files were meant.
func needFolderFlag(name string) error {
	return cli.Misused("%s is a folder", words.Clean(name)).Hint("give -r to copy folders")
}

// finish reports what was left out, as a failure: a copy that lacks something
// must not look like one that does not.
func (c *Copier) finish() (Total, error) {
	if len(c.skipped) == 0 {
		return c.total, nil
	}
	e := cli.Failed("not everything was copied; the rest was").
		Hint("leave these out of what is copied, or copy what the links lead to by name")
	for i, skipped := range c.skipped {
		if i == 20 {
			e.Notes = append(e.Notes, fmt.Sprintf("  and %d more", len(c.skipped)-i))
			break
		}
		e.Notes = append(e.Notes, "  "+words.Clean(skipped))
	}
	return c.total, e
}

// localLink reports whether a link at name, in a copied tree, stays in the tree. One
// that goes up again from another name does not count: the name may be a link too.
func localLink(name, target string) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsAny(target, "\x00\\") {
		return false
	}
	down := false
	for _, part := range strings.Split(target, "/") {
		if down && part == ".." {
			return false
		}
		down = down || part != ".." && part != "." && part != ""
	}
	end := path.Join(path.Dir(name), target)
	return end != ".." && !strings.HasPrefix(end, "../")
}

// counted reads or writes as part of one file, tells of progress, and stops when
// the context ends.
type counted struct {
	ctx      context.Context
	reader   io.Reader
	writer   io.Writer
	done     int64
	total    int64
	progress func(done, total int64)
}

func (c *Copier) count(ctx context.Context, name string, total int64) *counted {
	tell := func(int64, int64) {}
	if c.Progress != nil {
		tell = func(done, total int64) { c.Progress(name, done, total) }
	}
	return &counted{ctx: ctx, total: total, progress: tell}
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.reader.Read(p)
	c.add(n)
	return n, err
}

// Write implements io.Writer.
func (c *counted) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.writer.Write(p)
	c.add(n)
	return n, err
}

func (c *counted) add(n int) {
	c.done += int64(n)
	c.progress(c.done, c.total)
}

// explain says which file an error is about, once.
func explain(doing, name string, err error) error {
	var f *cli.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return err
	}
	e := cli.Failed("%s %s: %w", doing, words.Clean(name), err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e.Hint("check the path; one on a host is relative to the login's home unless it begins with /")
	case errors.Is(err, fs.ErrPermission):
		return e.Hint("check who owns the file and its folder")
	}
	return e
}
