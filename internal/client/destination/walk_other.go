//go:build unix && !linux

package destination

import "golang.org/x/sys/unix"

const openPath = unix.O_RDONLY
