//go:build !linux

package agent

import "syscall"

// inMemory is never so: macOS has no tmpfs, but a temporary folder for each user.
func inMemory(string) bool { return false }

// Conceal does nothing: only Linux lets a process ask for it.
func Conceal() error { return nil }

func dieWithUs(*syscall.SysProcAttr) {}
