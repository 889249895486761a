package destination

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Access says who, besides the user that runs gatepass, may use a set.
type Access struct {
	// Owner gets everything that is written. Only root can give files away.
	Owner *Owner
	// Readers may read the files, by POSIX access control lists.
	Readers []Reader
	// Required refuses a file system without such lists, instead of warning.
	Required bool
}

// Owner is a user, and a group or -1 to leave the group as it is.
type Owner struct{ UID, GID int }

// Reader is a user, or a group.
type Reader struct {
	Group bool
	ID    uint32
}

// errNoACLs means that this system or file system has no access control lists.
var errNoACLs = errors.New("there are no access control lists here")

// ParseOwner reads USER or USER:GROUP, names or numbers.
func ParseOwner(text string) (*Owner, error) {
	name, group, found := strings.Cut(text, ":")
	uid, err := lookUp(name, false)
	if err != nil {
		return nil, err
	}
	owner := &Owner{UID: int(uid), GID: -1}
	if !found {
		return owner, nil
	}
	gid, err := lookUp(group, true)
	if err != nil {
		return nil, err
	}
	owner.GID = int(gid)
	return owner, nil
}

// ParseReader reads the name or number of a user or group.
func ParseReader(name string, group bool) (Reader, error) {
	id, err := lookUp(name, group)
	return Reader{Group: group, ID: id}, err
}

func lookUp(name string, group bool) (uint32, error) {
	if id, err := strconv.ParseUint(name, 10, 31); err == nil {
		return uint32(id), nil
	}
	what, id := "user", ""
	if group {
		what = "group"
		if found, err := user.LookupGroup(name); err == nil {
			id = found.Gid
		}
	} else if found, err := user.Lookup(name); err == nil {
		id = found.Uid
	}
	parsed, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return 0, cli.Misused("there is no %s %q on this machine", what, words.Clean(name)).
			Hint("give a name that is in /etc/passwd or /etc/group, or a number")
	}
	return uint32(parsed), nil
}

// give hands an open file or directory of ours to owner and readers. It works on
// the descriptor: a name could have been exchanged since.
func (d *Dir) give(file *os.File) error {
	if err := d.access.giveTo(file); err != nil {
		return err
	}
	if len(d.access.Readers) == 0 {
		return nil
	}
	err := setACL(file, d.access)
	if !errors.Is(err, errNoACLs) {
		return err
	}
	if d.access.Required {
		return cli.Failed("destination %s: its file system has no access control lists, so the readers cannot be let in", d.path).
			Hint("choose a --destination on another file system, or use --owner")
	}
	warning := fmt.Sprintf("the file system of %s has no access control lists: only its owner can read the credentials", d.path)
	if !slices.Contains(d.warnings, warning) {
		d.warnings = append(d.warnings, warning)
	}
	return nil
}

// giveTo changes the owner.
func (a Access) giveTo(file *os.File) error {
	if a.Owner == nil {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) == a.Owner.UID && (a.Owner.GID < 0 || int(stat.Gid) == a.Owner.GID) {
		return nil
	}
	if err := file.Chown(a.Owner.UID, a.Owner.GID); err != nil {
		return cli.Failed("giving files to user %d: %w", a.Owner.UID, err).Hint("only root can give files away; leave out --owner")
	}
	return nil
}

// granted reports whether what others may do with a directory is what we let the
// readers do, no more: an access control list shows in the group's bits of a mode.
func (a Access) granted(dir *os.File) bool { return len(a.Readers) > 0 && hasACL(dir, a) }
