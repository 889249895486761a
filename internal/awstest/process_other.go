//go:build !linux

package awstest

import "os/exec"

// The emulator is a Linux program; elsewhere only moto runs, which has no children.
func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
