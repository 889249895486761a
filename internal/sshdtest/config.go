package sshdtest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"golang.org/x/crypto/ssh"
)

// Config says whom a server trusts and whom it lets in. Its strings are the contents
// of the files that sshd_config(5) names.
type Config struct {
	// TrustedUserCAKeys has a public key in authorized_keys format on each line:
	// the authorities whose user certificates are accepted. Required without SSHFolder.
	TrustedUserCAKeys string

	// SSHFolder, if not empty, is a folder that sshd sees as /etc/ssh. The files of its
	// sshd_config.d come before all that is set here, and sshd is as strict about who
	// may write to them as on any host (for root; others' files are never root's).
	SSHFolder string

	// Logins are the accounts of the server, such as "deploy". At least one. They
	// are run as an unprivileged user of the server's own (as root) or as the
	// caller (otherwise). "root" exists on every server, listed or not.
	Logins []string

	// AuthorizedPrincipals, if not nil, maps a login to the contents of its
	// AuthorizedPrincipalsFile; a login without an entry lets nobody in. If nil, a
	// certificate must name the login itself among its principals.
	AuthorizedPrincipals map[string]string

	// AuthorizedKeys, if not empty, are plain keys that every login accepts, one on each
	// line as in AuthorizedKeysFile.
	AuthorizedKeys string

	// RevokedKeys, if not empty, is a list of public keys, one on each line, or a
	// binary revocation list of ssh-keygen -k.
	RevokedKeys string

	// RevokedKeysFile, if not empty, is the path of such a list, in place of RevokedKeys:
	// one that may be replaced while the server runs, as on a host.
	RevokedKeysFile string

	// HostKey is the server's key: *ecdsa.PrivateKey, *rsa.PrivateKey or an
	// ed25519.PrivateKey. Default: a new Ed25519 key.
	HostKey crypto.Signer

	// HostCertificate, if not empty, is a host certificate for HostKey, one line in
	// authorized_keys format.
	HostCertificate string
}

// loginPattern is what a role may grant as a login; here it also keeps a login from
// being more than one field of passwd(5) or one name of a folder.
var loginPattern = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_.@-]*\z`)

// normalized returns cfg checked and with its defaults set, and the host key's
// signer, which has the host certificate if there is one.
func (cfg Config) normalized() (Config, ssh.Signer, error) {
	if cfg.TrustedUserCAKeys == "" && cfg.SSHFolder == "" {
		return cfg, nil, errors.New("no TrustedUserCAKeys: give at least one authority's public key")
	}
	if len(cfg.Logins) == 0 {
		return cfg, nil, errors.New("no Logins: give at least one login")
	}
	if cfg.TrustedUserCAKeys != "" {
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(cfg.TrustedUserCAKeys)); err != nil {
			return cfg, nil, fmt.Errorf("TrustedUserCAKeys: %w", err)
		}
	}
	for i, login := range cfg.Logins {
		if !loginPattern.MatchString(login) {
			return cfg, nil, fmt.Errorf("login %q: write letters, digits and . _ @ - only, a letter or _ first", login)
		}
		if slices.Contains(cfg.Logins[:i], login) {
			return cfg, nil, fmt.Errorf("login %q is listed twice", login)
		}
	}
	for login := range cfg.AuthorizedPrincipals {
		if login != "root" && !slices.Contains(cfg.Logins, login) {
			return cfg, nil, fmt.Errorf("the login %q of AuthorizedPrincipals is not among Logins", login)
		}
	}
	if cfg.HostKey == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return cfg, nil, err
		}
		cfg.HostKey = key
	}
	signer, err := ssh.NewSignerFromSigner(cfg.HostKey)
	if err != nil {
		return cfg, nil, fmt.Errorf("HostKey: %w", err)
	}
	if cfg.HostCertificate != "" {
		if signer, err = withCertificate(signer, cfg.HostCertificate); err != nil {
			return cfg, nil, fmt.Errorf("HostCertificate: %w", err)
		}
	}
	return cfg, signer, nil
}

func withCertificate(signer ssh.Signer, text string) (ssh.Signer, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return nil, err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || cert.CertType != ssh.HostCert {
		return nil, errors.New("give a host certificate, not a key or a user certificate")
	}
	return ssh.NewCertSigner(cert, signer)
}

// plainKey is the public key of signer without its certificate.
func plainKey(signer ssh.Signer) ssh.PublicKey {
	if cert, ok := signer.PublicKey().(*ssh.Certificate); ok {
		return cert.Key
	}
	return signer.PublicKey()
}
