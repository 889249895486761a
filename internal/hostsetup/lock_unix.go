//go:build linux || darwin

package hostsetup

import (
	"errors"
	"syscall"
)

// lock keeps another run away until unlock is called or this process ends, however it does.
func (d *Dir) lock() (unlock func(), err error) {
	folder, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(ErrRunning, folder.Close())
	}
	return func() { folder.Close() }, nil
}
