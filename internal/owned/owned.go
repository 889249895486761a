// Package owned keeps what root writes into another user's directory that user's.
package owned

import (
	"os"
	"syscall"
)

// Like gives a file the owner and the group of the directory that it was made in. An
// administrator who changes a data directory with sudo leaves no file there that the
// server, which runs as another user, cannot read. SQLite does the same with its files.
// Only root can give a file away: for another user nothing is done.
func Like(file *os.File, dir os.FileInfo) error {
	owner, ok := dir.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}
