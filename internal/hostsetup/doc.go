// Package hostsetup says what an SSH host needs so that certificates of Gatepass are
// good there, writes it, and tells what of it is missing.
//
// A [Host] is what is wanted; [Host.Files] are its files, all below /etc/ssh: the
// authority's public keys, for each local account the principals that may log in as
// it (pkg/rules/labels.go says what those are), and a file for sshd_config.d that
// names both. [Apply] writes them to a [Folder], has sshd test its configuration and
// takes all back if that fails. [Check] compares and changes nothing. A file that
// does not begin with the marker of this package is never overwritten or removed.
package hostsetup
