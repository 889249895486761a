// Package sshdtest starts an SSH server that trusts a user certificate authority,
// for tests and for `gatepassctl demo`, and leaves nothing behind when it is closed.
//
// [Start] runs the machine's own OpenSSH sshd, so that what a certificate may do is
// decided by the program that decides it in production. The logins asked for need
// not exist: sshd runs in mount and process namespaces of its own, where copies of
// the account files that name them lie over the real ones. Nothing outside the
// namespaces and one temporary folder is changed, and root is not needed: for
// anyone else a user namespace makes the caller the login.
//
// [StartGo] is a small server in Go with the same decisions, for machines where
// Start says [ErrUnavailable]: no OpenSSH, or no namespaces.
//
// Both listen on 127.0.0.1 only, and accept nothing but certificates.
package sshdtest
