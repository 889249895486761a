package destination

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// aclName is the extended attribute of an access control list (acl(5)), and these
// are its parts (linux/posix_acl_xattr.h): a version, then entries of tag, permissions and id.
const (
	aclName    = "system.posix_acl_access"
	aclVersion = 2

	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
	aclMask     = 0x10
	aclOther    = 0x20

	aclNobody = math.MaxUint32 // the id of entries that have none
)

// acl lets the owner do everything, the readers read, and nobody else anything.
func (a Access) acl(dir bool) []byte {
	full, read := uint16(6), uint16(4)
	if dir {
		full, read = 7, 5
	}
	type entry struct {
		tag, perm uint16
		id        uint32
	}
	entries := []entry{{aclUserObj, full, aclNobody}, {aclGroupObj, 0, aclNobody}, {aclMask, read, aclNobody}, {aclOther, 0, aclNobody}}
	for _, reader := range a.Readers {
		tag := uint16(aclUser)
		if reader.Group {
			tag = aclGroup
		}
		entries = append(entries, entry{tag, read, reader.ID})
	}
	// The kernel wants them by tag and id, and each once.
	slices.SortFunc(entries, func(x, y entry) int { return cmp.Or(cmp.Compare(x.tag, y.tag), cmp.Compare(x.id, y.id)) })
	entries = slices.Compact(entries)
	out := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range entries {
		out = binary.LittleEndian.AppendUint16(out, e.tag)
		out = binary.LittleEndian.AppendUint16(out, e.perm)
		out = binary.LittleEndian.AppendUint32(out, e.id)
	}
	return out
}

func setACL(file *os.File, a Access) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	err = unix.Fsetxattr(int(file.Fd()), aclName, a.acl(info.IsDir()), 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return errNoACLs
	}
	if err != nil {
		return fmt.Errorf("letting readers in: %w", err)
	}
	return nil
}

func hasACL(dir *os.File, a Access) bool {
	buffer := make([]byte, 4096)
	n, err := unix.Fgetxattr(int(dir.Fd()), aclName, buffer)
	return err == nil && bytes.Equal(buffer[:n], a.acl(true))
}
