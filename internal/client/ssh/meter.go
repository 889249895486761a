package ssh

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Bounds of what a host can make a download keep in memory and on the disk.
const (
	maxListing = 32 << 20  // bytes of one folder's listing: some 200,000 files
	maxEntries = 1_000_000 // files and folders in all
)

// meter counts what a host sends.
type meter struct {
	from  io.Reader
	spoke func() // called after each read; optional
	count atomic.Int64
	limit atomic.Pointer[limit]
}

// limit is called once the count is beyond it.
type limit struct {
	at     int64
	beyond func()
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.from.Read(p)
	count := m.count.Add(int64(n))
	if m.spoke != nil {
		m.spoke()
	}
	if l := m.limit.Load(); l != nil && count > l.at {
		l.beyond()
	}
	return n, err
}

var errEndless = errors.New("the listing has no end")

// list lists a folder of the host, and no more of it than fits in memory.
func (c *Copier) list(ctx context.Context, folder string) ([]fs.FileInfo, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if c.heard != nil {
		c.heard.limit.Store(&limit{c.heard.count.Load() + maxListing, func() { cancel(errEndless) }})
		defer c.heard.limit.Store(nil)
	}
	entries, err := c.Remote.ReadDirContext(ctx, folder)
	c.entries += len(entries)
	switch {
	case context.Cause(ctx) == errEndless, c.entries > maxEntries:
		return nil, cli.Failed("the host lists more in %s than is copied: %d MiB of names, or %d files in all", words.Clean(folder), maxListing>>20, maxEntries).
			Hint("copy its folders one by one, or an archive: gatepass ssh HOST -- tar c FOLDER > FOLDER.tar")
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return entries, explain("reading", folder, err)
}

// kept is what a file or folder that is made gets of a host's mode: as with cp, no more than
// the umask of this process leaves.
func kept(mode fs.FileMode) fs.FileMode {
	// There is no other way to ask. What is made in between is for fewer people, not for more.
	umask := unix.Umask(0o077)
	unix.Umask(umask)
	return mode & permissions &^ fs.FileMode(umask)
}
