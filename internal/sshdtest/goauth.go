package sshdtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// authenticator decides about certificates as sshd does: PROTOCOL.certkeys of
// OpenSSH, and sshd(8) on TrustedUserCAKeys, AuthorizedPrincipalsFile and RevokedKeys.
type authenticator struct {
	authorities [][]byte // public keys in wire format
	revoked     [][]byte
	principals  map[string][]string // by login
	log         *logBuffer
}

func newAuthenticator(cfg Config, log *logBuffer) (*authenticator, error) {
	a := &authenticator{principals: make(map[string][]string), log: log}
	var err error
	if a.authorities, err = parseKeys(cfg.TrustedUserCAKeys); err != nil {
		return nil, err
	}
	if strings.HasPrefix(cfg.RevokedKeys, "SSHKRL\n") {
		return nil, fmt.Errorf("%w: RevokedKeys is a binary list, which only OpenSSH reads", ErrUnavailable)
	}
	if a.revoked, err = parseKeys(cfg.RevokedKeys); err != nil {
		return nil, fmt.Errorf("RevokedKeys: %w", err)
	}
	for _, login := range append([]string{"root"}, cfg.Logins...) {
		if cfg.AuthorizedPrincipals == nil {
			a.principals[login] = []string{login}
			continue
		}
		if a.principals[login], err = parsePrincipals(cfg.AuthorizedPrincipals[login]); err != nil {
			return nil, fmt.Errorf("AuthorizedPrincipals[%q]: %w", login, err)
		}
	}
	return a, nil
}

// parseKeys reads public keys, one on each line, with # comments.
func parseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for rest := []byte(text); len(bytes.TrimSpace(rest)) > 0; {
		key, _, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			if len(keys) > 0 && onlyComments(rest) {
				break
			}
			return nil, err
		}
		keys, rest = append(keys, key.Marshal()), next
	}
	return keys, nil
}

func onlyComments(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

func parsePrincipals(text string) ([]string, error) {
	var names []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		switch fields := strings.Fields(line); len(fields) {
		case 0:
		case 1:
			names = append(names, fields[0])
		default:
			return nil, fmt.Errorf("%w: options before a principal are read by OpenSSH only", ErrUnavailable)
		}
	}
	return names, nil
}

// authenticate is the server's PublicKeyCallback.
func (a *authenticator) authenticate(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	principals, ok := a.principals[conn.User()]
	if !ok {
		return nil, errors.New("there is no such login")
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("a key without a certificate")
	}
	if cert.CertType != ssh.UserCert {
		return nil, errors.New("not a user certificate")
	}
	// To the library a certificate without principals is good for everyone; to sshd,
	// for nobody.
	if len(cert.ValidPrincipals) == 0 {
		return nil, errors.New("the certificate names no principal")
	}
	if !contains(a.authorities, cert.SignatureKey) {
		return nil, errors.New("the certificate is by an authority that is not trusted here")
	}
	checker := &ssh.CertChecker{
		// gosession.go obeys the first, the library's server the second.
		SupportedCriticalOptions: []string{forceCommand, "source-address"},
		IsRevoked: func(cert *ssh.Certificate) bool {
			return contains(a.revoked, cert.Key) || contains(a.revoked, cert.SignatureKey) || contains(a.revoked, cert)
		},
	}
	for _, principal := range principals {
		if slices.Contains(cert.ValidPrincipals, principal) {
			if err := checker.CheckCert(principal, cert); err != nil {
				return nil, err
			}
			return &cert.Permissions, nil
		}
	}
	return nil, errors.New("the certificate names no principal of this login")
}

func contains(keys [][]byte, key ssh.PublicKey) bool {
	wire := key.Marshal()
	return slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, wire) })
}

// logAttempt writes the words that sshd uses.
func (a *authenticator) logAttempt(conn ssh.ConnMetadata, method string, err error) {
	switch {
	case err == nil:
		a.log.printf("Accepted %s for %s from %s", method, conn.User(), conn.RemoteAddr())
	case method != "none": // how a client asks what there is
		a.log.printf("Failed %s for %s from %s: %v", method, conn.User(), conn.RemoteAddr(), err)
	}
}
