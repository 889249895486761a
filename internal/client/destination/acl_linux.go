package destination

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"

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

type aclEntry struct {
	tag, perm uint16
	id        uint32
}

// acl lets the owner do everything, the readers read, and nobody else anything.
func (a Access) acl(dir bool) []byte {
	full, read := uint16(6), uint16(4)
	if dir {
		full, read = 7, 5
	}
	entries := []aclEntry{{aclUserObj, full, aclNobody}, {aclGroupObj, 0, aclNobody}, {aclMask, read, aclNobody}, {aclOther, 0, aclNobody}}
	for _, reader := range a.Readers {
		e := aclEntry{aclUser, read, reader.ID}
		if reader.Group {
			e.tag = aclGroup
		}
		if !slices.Contains(entries, e) {
			entries = append(entries, e)
		}
	}
	// The kernel wants them by tag and id.
	sort.Slice(entries, func(i, j int) bool {
		x, y := entries[i], entries[j]
		return x.tag < y.tag || x.tag == y.tag && x.id < y.id
	})
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
