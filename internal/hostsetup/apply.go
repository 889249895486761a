package hostsetup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Sshd runs the host's sshd with arguments and returns what it wrote; its error says
// what sshd said. A nil Sshd means that there is none to ask.
type Sshd func(ctx context.Context, args ...string) (string, error)

// What a Change is.
const (
	Created   = "created"
	Updated   = "updated"
	Removed   = "removed"
	Unchanged = "unchanged"
)

// Change is what was done to a file.
type Change struct {
	Path   string `json:"path"`
	Change string `json:"change"`

	content string
	before  *string // nil if it was not there

	staged, backup string // paths of what stage wrote, below /etc/ssh
}

// ForeignError says that files are in the way which this package did not write.
type ForeignError struct{ Paths []string }

func (e *ForeignError) Error() string {
	return strings.Join(e.Paths, ", ") + ": not written by gatepassctl host setup, and not overwritten"
}

// ConflictError says that other lines of sshd's configuration set what the host's own
// file sets; sshd takes the first, so one of them would not count.
type ConflictError struct{ Lines []string }

func (e *ConflictError) Error() string {
	return "the configuration of sshd sets already what host setup has to set: " + strings.Join(e.Lines, "; ")
}

// ErrNoInclude says that sshd would not read ConfigFile.
var ErrNoInclude = errors.New(mainConfigFile + " does not include " + ConfigFile)

// ErrRunning says that another run is at work on the same host.
var ErrRunning = errors.New("another gatepassctl host setup --apply is at work on " + SSHFolder)

// Apply makes the host as h says and returns what it did to each file. It refuses
// before it writes anything if a file is not its own, or sshd would not come to obey.
// If sshd finds fault with the configuration that comes of it, everything is as before.
func Apply(ctx context.Context, d *Dir, h *Host, sshd Sshd) ([]Change, error) {
	if err := d.obeys(h); err != nil {
		return nil, err
	}
	for _, c := range h.HostCertificates {
		if _, err := d.hostCertificate(c); err != nil {
			return nil, err
		}
	}
	unlock, err := d.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	changes, err := d.plan(h)
	if err != nil {
		return nil, err
	}
	if err := d.clean(); err != nil {
		return nil, err
	}
	defer d.unstage(changes)
	for i := range changes {
		if err := d.stage(&changes[i]); err != nil {
			return nil, err
		}
	}
	if err := d.commit(ctx, changes, sshd); err != nil {
		return nil, err
	}
	return changes, nil
}

// commit makes changes that are staged, and takes all back if one cannot be made or
// sshd refuses what comes of them. sshd is asked even if nothing changes: a run before
// may have been cut off before it came to that.
func (d *Dir) commit(ctx context.Context, changes []Change, sshd Sshd) (err error) {
	done := 0
	for i := range changes {
		if err = d.do(&changes[i]); err != nil {
			break
		}
		done++
	}
	if err == nil && sshd != nil {
		err = test(ctx, sshd)
	}
	if err == nil {
		return nil
	}
	var failed []error
	for i := range done {
		failed = append(failed, d.undo(&changes[done-1-i]))
	}
	if undo := errors.Join(failed...); undo != nil {
		return fmt.Errorf("%w; and taking back what was written failed: %w", err, undo)
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		refused.Before = !slices.ContainsFunc(changes, changed) || test(ctx, sshd) != nil
	}
	return err
}

func changed(c Change) bool { return c.Change != Unchanged }

// RefusedError says that sshd -t refused the configuration, which is as before again.
type RefusedError struct {
	Err error
	// Before says that sshd refuses the configuration as it was, too.
	Before bool
}

func (e *RefusedError) Error() string {
	if e.Before {
		return "sshd refuses its configuration, and did so before: " + e.Err.Error()
	}
	return "sshd refuses its configuration with these files, and they were taken back: " + e.Err.Error()
}

func (e *RefusedError) Unwrap() error { return e.Err }

func test(ctx context.Context, sshd Sshd) error {
	_, err := sshd(ctx, "-t")
	if ctx.Err() != nil {
		return context.Cause(ctx) // sshd was stopped, and refused nothing
	}
	if err != nil {
		return &RefusedError{Err: err}
	}
	return nil
}

// obeys reports why sshd would not come to do as h's files say.
func (d *Dir) obeys(h *Host) error {
	all, err := d.directives()
	if err != nil {
		return err
	}
	if !includesConfigFile(all) {
		return ErrNoInclude
	}
	var lines []string
	for _, c := range h.conflicts(all) {
		lines = append(lines, fmt.Sprintf("%s: %s %s", c, c.keyword, strings.Join(c.args, " ")))
	}
	if len(lines) > 0 {
		return &ConflictError{Lines: lines}
	}
	return nil
}

// plan compares what is there with what shall be.
func (d *Dir) plan(h *Host) ([]Change, error) {
	files, err := h.Files()
	if err != nil {
		return nil, err
	}
	var changes []Change
	var foreign ForeignError
	for _, f := range files {
		c, err := d.compare(f)
		switch {
		case err != nil:
			return nil, err
		case c.before != nil && !f.Keep && !own(*c.before):
			foreign.Paths = append(foreign.Paths, f.Path)
		}
		changes = append(changes, c)
	}
	if len(foreign.Paths) > 0 {
		return nil, &foreign
	}
	stale, _, err := d.others(files)
	if err != nil {
		return nil, err
	}
	// Accounts that are closed are so before others are opened.
	return append(stale, changes...), nil
}

func (d *Dir) compare(f File) (Change, error) {
	c := Change{Path: f.Path, Change: Unchanged, content: f.Content}
	before, err := d.read(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Change = Created
	case err != nil:
		return c, err
	default:
		c.before = &before
		if !f.Keep && (before != f.Content || d.insecure(f.Path) != "") {
			c.Change = Updated
		}
	}
	return c, nil
}

// others are the principals of accounts that are not set up: files of ours, which are
// to be removed, and others' files, which let in whom they list.
func (d *Dir) others(files []File) (stale []Change, foreign []string, err error) {
	names, err := d.list(PrincipalsDir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		file := PrincipalsDir + "/" + name
		if strings.HasPrefix(name, temporaryPrefix) || slices.ContainsFunc(files, func(f File) bool { return f.Path == file }) {
			continue
		}
		if text, err := d.read(file); err == nil && own(text) {
			stale = append(stale, Change{Path: file, Change: Removed, before: &text})
		} else {
			foreign = append(foreign, file)
		}
	}
	return stale, foreign, nil
}

// NeedsReload tells whether sshd has to read its configuration again for changes to
// count; the other files it reads at each login.
func NeedsReload(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Path == ConfigFile && changed(c) })
}

// Sorted returns changes by path.
func Sorted(changes []Change) []Change {
	return slices.SortedFunc(slices.Values(changes), func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
}
