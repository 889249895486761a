package agent

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// inMemory asks the kernel: a path like /dev/shm promises nothing.
func inMemory(dir string) bool {
	var stat unix.Statfs_t
	if dir == "" || unix.Statfs(dir, &stat) != nil {
		return false
	}
	return int64(stat.Type) == unix.TMPFS_MAGIC || int64(stat.Type) == unix.RAMFS_MAGIC
}

// Conceal keeps other processes of this user, the child's above all, from reading
// our memory, as ssh-agent does; and keeps keys out of core dumps.
func Conceal() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// dieWithUs makes the kernel end a child when we are killed in a way that leaves
// us no time to.
func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
