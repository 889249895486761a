// Package sshdtest starts the machine's own OpenSSH sshd with a user certificate authority
// that it trusts, and leaves nothing behind when it is closed. What a certificate may
// do is so decided by the program that decides it in production.
//
// The logins asked for need not exist: sshd runs in mount and process namespaces of its
// own, where copies of the account files that name them lie over the real ones. Nothing
// outside the namespaces and one temporary folder is changed, and root is not needed: for
// anyone else a user namespace makes the caller the login.
//
// It listens on 127.0.0.1 only, and accepts certificates, and plain keys only if it is given some.
package sshdtest
