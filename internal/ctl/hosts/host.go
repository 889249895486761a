// Package hosts has the commands of gatepassctl about SSH hosts. host setup says what a
// host needs so that certificates of Gatepass are good there, and prints it: as a script, as
// cloud-init and as an Ansible role. host sign signs hosts' keys.
//
// A [Host] is what is wanted; [Host.Files] are its files, all below /etc/ssh: the
// authority's public keys, for each local account the principals that may log in as
// it (pkg/rules/labels.go says what those are), and a file for sshd_config.d that
// names both. [Host.Script] is the one thing that writes and checks them, the folder script with
// these files in it; cloud-init and the role bring it to the host and run it.
package hosts

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Host is what a host shall be set up as.
type Host struct {
	// Labels as rules.ParseLabels returns them; may be empty.
	Labels map[string]string
	// Accounts are the local accounts that certificates open, and for each the logins
	// of roles that may be it, which need not be called the same.
	Accounts map[string][]string
	// Authority has the public keys of the service's ssh-user authority, one
	// authorized_keys line each, as gatepassctl ca export prints them.
	Authority string
	// HostCertificates are the absolute paths of certificates for the host's own keys,
	// each called as its key is, with -cert.pub.
	HostCertificates []string
	// HostAuthorities are the fingerprints of the keys that host certificates may be
	// signed by; none if they are not known.
	HostAuthorities []string
	// RevokedKeys has sshd refuse what is in RevokedKeysFile.
	RevokedKeys bool
}

// Where the files are. script/files.sh says the same.
const (
	AuthorityFile   = "/etc/ssh/gatepass/user_ca.pub"
	PrincipalsDir   = "/etc/ssh/gatepass/principals"
	RevokedKeysFile = "/etc/ssh/gatepass/revoked.krl"
	ConfigFile      = "/etc/ssh/sshd_config.d/10-gatepass.conf"
)

// maxPrincipals bounds the principals of one account: sshd reads them at each login.
const maxPrincipals = 1 << 14

// marker is the first line of every file that this package writes, and by which it
// knows a file as its own.
const marker = "# written by gatepassctl host setup; changes made here are lost"

// File is one file of a host. It is for all to read: sshd reads principals as the
// account that logs in.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
	// Keep says that a file that is there already stays as it is, whatever it has.
	Keep bool `json:"keep,omitempty"`
}

// Files returns what the host needs, in the order in which to write it: the file that
// makes sshd look at the others comes last.
func (h *Host) Files() ([]File, error) {
	keys, err := parseAuthority(h.Authority)
	if err != nil {
		return nil, err
	}
	if len(h.Accounts) == 0 {
		return nil, errors.New("no logins: a host without any lets nobody in")
	}
	files := []File{{Path: AuthorityFile, Content: authorityText(keys)}}
	for _, account := range sortedAccounts(h) {
		text, err := h.principals(account)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: PrincipalsDir + "/" + account, Content: text})
	}
	if h.RevokedKeys {
		// Without the file sshd refuses every key; without a line in it, none.
		files = append(files, File{Path: RevokedKeysFile, Keep: true})
	}
	config, err := h.config()
	if err != nil {
		return nil, err
	}
	return append(files, File{Path: ConfigFile, Content: config}), nil
}

func sortedAccounts(h *Host) []string { return slices.Sorted(maps.Keys(h.Accounts)) }

func (h *Host) principals(account string) (string, error) {
	if err := rules.CheckLogin(account); err != nil {
		return "", fmt.Errorf("local account: %w", err)
	}
	logins := slices.Clone(h.Accounts[account])
	slices.Sort(logins)
	logins = slices.Compact(logins)
	switch n := len(logins) << len(h.Labels); {
	case len(logins) == 0:
		return "", fmt.Errorf("local account %s: no login may be it; name one, or leave the account out", account)
	case n > maxPrincipals:
		return "", fmt.Errorf("local account %s: %d logins and %d labels make %d principals; at most %d are taken, so give fewer labels", account, len(logins), len(h.Labels), n, maxPrincipals)
	}
	var b strings.Builder
	b.WriteString(marker + "\n# who may log in as " + account + on(h.Labels) + "\n")
	for _, login := range logins {
		if err := rules.CheckLogin(login); err != nil {
			return "", fmt.Errorf("local account %s: %w", account, err)
		}
		for _, p := range rules.HostPrincipals(login, h.Labels) {
			b.WriteString(p + "\n")
		}
	}
	return b.String(), nil
}

func on(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	return " on a host with " + rules.FormatLabels(labels)
}

// config is what sshd must be told, and no other file may tell otherwise.
func (h *Host) config() (string, error) {
	lines := []string{marker, "TrustedUserCAKeys " + AuthorityFile, "AuthorizedPrincipalsFile " + PrincipalsDir + "/%u"}
	if h.RevokedKeys {
		lines = append(lines, "RevokedKeys "+RevokedKeysFile)
	}
	for _, certificate := range h.HostCertificates {
		if !path.IsAbs(certificate) || path.Clean(certificate) != certificate || !strings.HasSuffix(certificate, "-cert.pub") || strings.ContainsAny(certificate, " \t\r\n\"'\\#%*?[") {
			return "", fmt.Errorf("host certificate %q: write its absolute path on the host, as /etc/ssh/ssh_host_ed25519_key-cert.pub", certificate)
		}
		lines = append(lines, "HostCertificate "+certificate)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// parseAuthority reads the lines of an authority's public keys.
func parseAuthority(text string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 {
			return nil, errors.New("the authority is not public keys, one to a line; take it by gatepassctl ca export --type ssh-user")
		}
		if _, is := key.(*ssh.Certificate); is {
			return nil, errors.New("the authority is a certificate, not a public key; take it by gatepassctl ca export --type ssh-user")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the authority has no public key; take it by gatepassctl ca export --type ssh-user")
	}
	return keys, nil
}

func authorityText(keys []ssh.PublicKey) string {
	var b strings.Builder
	b.WriteString(marker + "\n")
	for _, key := range keys {
		b.Write(ssh.MarshalAuthorizedKey(key))
	}
	return b.String()
}

// fingerprints returns those of an authority's public keys.
func fingerprints(authority string) ([]string, error) {
	keys, err := parseAuthority(authority)
	if err != nil {
		return nil, err
	}
	var prints []string
	for _, key := range keys {
		prints = append(prints, ssh.FingerprintSHA256(key))
	}
	return prints, nil
}
