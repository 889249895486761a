//go:build !linux

package run

import "syscall"

// inMemory is never so: macOS has no tmpfs, but a temporary folder for each user.
func inMemory(string) bool { return false }

func conceal() error { return nil }

func dieWithUs(*syscall.SysProcAttr) {}
