package cert

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHRequest is what an SSH certificate shall say (PROTOCOL.certkeys of OpenSSH).
type SSHRequest struct {
	// Host makes a host certificate, which has no extensions and no critical options.
	Host bool
	// Key is the public key to certify, as ParseSSHPublicKey returns it.
	Key ssh.PublicKey
	// KeyID is what sshd logs: 1 to 256 printable ASCII characters.
	KeyID string
	// Principals are 1 to 256 logins, each alone or as LOGIN@NAME=VALUE,… with all labels
	// of the hosts that it is for; or names of the host, without patterns.
	// A certificate without any would be good for every login.
	Principals []string
	// Extensions by name; those that OpenSSH knows have no value.
	Extensions map[string]string
	// CriticalOptions may be force-command and source-address, by name.
	CriticalOptions map[string]string
	// Serial is not zero.
	Serial uint64
	// ValidAfter and ValidBefore are cut to whole seconds.
	ValidAfter, ValidBefore time.Time
}

// SignSSH signs a certificate and returns it as one line without a newline,
// "ecdsa-sha2-nistp256-cert-v01@openssh.com AAAA…", parsed again and checked
// against r. The signer's key must be ECDSA P-256.
func SignSSH(rand io.Reader, ca crypto.Signer, r SSHRequest) (line string, err error) {
	signer, err := newAuthoritySigner(ca)
	if err != nil {
		return "", err
	}
	if err := r.check(); err != nil {
		return "", err
	}
	authority, err := ssh.NewSignerFromSigner(signer)
	if err != nil {
		return "", err
	}
	c := &ssh.Certificate{
		Key:             r.Key,
		Serial:          r.Serial,
		CertType:        r.certType(),
		KeyId:           r.KeyID,
		ValidPrincipals: r.Principals,
		ValidAfter:      uint64(r.ValidAfter.Unix()),
		ValidBefore:     uint64(r.ValidBefore.Unix()),
		Permissions:     ssh.Permissions{CriticalOptions: r.CriticalOptions, Extensions: r.Extensions},
	}
	if err := c.SignCert(rand, authority); err != nil {
		return "", fmt.Errorf("signing an SSH certificate: %w", err)
	}
	line = c.Type() + " " + base64.StdEncoding.EncodeToString(c.Marshal())
	if err := r.checkProduct(line, authority.PublicKey()); err != nil {
		return "", err
	}
	return line, nil
}

func (r *SSHRequest) certType() uint32 {
	if r.Host {
		return ssh.HostCert
	}
	return ssh.UserCert
}

// checkProduct parses the line as a client will and compares it with what was asked.
func (r *SSHRequest) checkProduct(line string, authority ssh.PublicKey) error {
	key, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return fmt.Errorf("the SSH certificate that was made cannot be read: %w", err)
	}
	c, ok := key.(*ssh.Certificate)
	if !ok {
		return errors.New("the SSH certificate that was made is not one")
	}
	if err := checkAll("SSH certificate", []check{
		{strings.Count(line, " ") == 1 && comment == "" && len(options) == 0 && len(rest) == 0, "its line"},
		{c.CertType == r.certType(), "the type"},
		{bytes.Equal(c.Key.Marshal(), r.Key.Marshal()), "the public key"},
		{c.KeyId == r.KeyID, "the key id"},
		{c.Serial == r.Serial, "the serial"},
		{len(c.ValidPrincipals) > 0 && slices.Equal(c.ValidPrincipals, r.Principals), "the principals"},
		{c.ValidAfter == uint64(r.ValidAfter.Unix()), "the start of validity"},
		{c.ValidBefore == uint64(r.ValidBefore.Unix()), "the end of validity"},
		{maps.Equal(c.CriticalOptions, r.CriticalOptions), "the critical options"},
		{maps.Equal(c.Extensions, r.Extensions), "the extensions"},
		{len(c.Reserved) == 0, "the reserved field"},
		{bytes.Equal(c.SignatureKey.Marshal(), authority.Marshal()), "the authority"},
	}); err != nil {
		return err
	}
	// CheckCert is how a Go server looks at it; it verifies the signature too.
	checker := ssh.CertChecker{
		SupportedCriticalOptions: slices.Collect(maps.Keys(r.CriticalOptions)),
		Clock:                    func() time.Time { return r.ValidAfter },
	}
	if err := checker.CheckCert(r.Principals[0], c); err != nil {
		return fmt.Errorf("the SSH certificate that was made is not good: %w", err)
	}
	return nil
}
