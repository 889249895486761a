//go:build unix

package sshdtest

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes cmd a process group of its own, run as login where the caller is
// root, and ends the whole group when its context ends.
func ownGroup(cmd *exec.Cmd, login account) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(login.uid), Gid: uint32(login.gid)}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// endGroup ends what cmd, which has ended, left in its group.
func endGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
