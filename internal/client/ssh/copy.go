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

	// heard counts what the host sends; nil counts nothing.
	heard *meter
	// entries are how many names were listed.
	entries int

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
	silent := c.heed()
	defer silent.Stop()
	remote, heard, err := c.sftp(func() { silent.Reset(c.patience) })
	if err != nil && c.Broken() == nil {
		return Total{}, cli.Errorf(StatusConnection, "the host offers no SFTP: %s", words.Clean(err.Error())).
			Hint("have `Subsystem sftp internal-sftp` in its sshd_config, and no force_command in the bot's roles")
	}
	var total Total
	if err == nil {
		defer remote.Close()
		copier.Remote, copier.heard = remote, heard
		total, err = work()
	}
	if broken := c.Broken(); broken != nil && err != nil {
		err = cli.Errorf(StatusConnection, "the connection to the host broke off: %w", broken).Hint("run it again: files that are not whole have not got their names")
	}
	return total, err
}

// sftp starts the subsystem. spoke is called whenever the host has sent something.
func (c *Conn) sftp(spoke func()) (*sftp.Client, *meter, error) {
	session, err := c.NewSession()
	if err != nil {
		return nil, nil, err
	}
	to, err := session.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	from, err := session.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		return nil, nil, err
	}
	return newRemote(from, to, spoke)
}

func newRemote(from io.Reader, to io.WriteCloser, spoke func()) (*sftp.Client, *meter, error) {
	heard := &meter{from: from, spoke: spoke}
	remote, err := sftp.NewClientPipe(heard, to, sftp.UseConcurrentWrites(true), sftp.MaxConcurrentRequestsPerFile(concurrent))
	return remote, heard, err
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
	exact    bool // whether no more than total may be written
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
	more := c.exact && int64(len(p)) > c.total-c.done
	if more {
		p = p[:c.total-c.done]
	}
	n, err := c.writer.Write(p)
	c.add(n)
	if err == nil && more {
		err = errMore
	}
	return n, err
}

// whole is what came of a copy that ended with err: nil if all that the file had is copied.
func (c *counted) whole(name string, err error) error {
	switch {
	case errors.Is(err, errMore) && c.total == 0:
		return cli.Failed("the host says that %s is empty, and sends something", words.Clean(name)).
			Hint("a file that is made as it is read, as in /proc, is copied with: gatepass ssh HOST -- cat FILE > FILE")
	case err != nil && !errors.Is(err, errMore):
		return err
	case c.done < c.total:
		return cli.Failed("the host sends %d bytes of %s, which has %d", c.done, words.Clean(name), c.total).
			Hint("run it again: the file may have changed meanwhile")
	}
	return nil
}

// errMore ends a copy of a file that has more than it had when it was opened.
var errMore = errors.New("it has more bytes than it said")

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
