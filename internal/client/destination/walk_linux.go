package destination

import "golang.org/x/sys/unix"

// openPath opens a directory for going through it, which needs no right to list it.
const openPath = unix.O_PATH
