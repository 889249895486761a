package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// maxCertificate bounds an SSH certificate, in bytes. One with 256 principals, the most that
// sshd reads, has a third of it.
const maxCertificate = 64 << 10

// BadAnswer is the error of an answer that does not hold what was asked for. Nothing of it is used.
func BadAnswer(format string, args ...any) error {
	return cli.Failed("the service's answer cannot be used: %s", words.Clean(fmt.Sprintf(format, args...))).
		Hint("nothing was written; check that --server is the right service and that this machine's clock is right, then tell who administers it")
}

// checkSSH reads a certificate line and holds it to what was asked: a user
// certificate for our key, with principals, not expired, signed by one of the
// authorities.
func checkSSH(line string, key ssh.PublicKey, authorities []ssh.PublicKey, now time.Time) (*ssh.Certificate, error) {
	public, err := parseKeyLine(line)
	if err != nil {
		return nil, BadAnswer("the SSH certificate is not one certificate line")
	}
	cert, ok := public.(*ssh.Certificate)
	switch {
	case !ok:
		return nil, BadAnswer("a plain SSH key came in place of a certificate")
	case cert.CertType != ssh.UserCert:
		return nil, BadAnswer("the SSH certificate is not a user certificate")
	case !bytes.Equal(cert.Key.Marshal(), key.Marshal()):
		return nil, BadAnswer("the SSH certificate is for another key")
	case len(cert.ValidPrincipals) == 0:
		return nil, BadAnswer("the SSH certificate has no principals, so servers would take it for any user or none")
	case len(authorities) == 0:
		return nil, BadAnswer("the SSH user authority is missing")
	case len(cert.Marshal()) > maxCertificate:
		return nil, BadAnswer("the SSH certificate has %d bytes, more than the %d that one of a service has", len(cert.Marshal()), maxCertificate)
	}
	for _, principal := range cert.ValidPrincipals {
		// It is printed, and is a word of a command that people copy.
		if principal == "" || strings.ContainsFunc(principal, func(r rune) bool { return !words.Harmless(r) || r == utf8.RuneError }) {
			return nil, BadAnswer("the SSH certificate has the principal %q, which is no name", principal)
		}
	}
	if err := checkTime("SSH certificate", sshTime(cert.ValidBefore), now); err != nil {
		return nil, err
	}
	checker := ssh.CertChecker{
		SupportedCriticalOptions: []string{"force-command", "source-address", "verify-required"},
		// The end was checked above. A clock that is a little slow must not
		// refuse a certificate that begins now.
		Clock: func() time.Time { return sshTime(cert.ValidAfter) },
	}
	if err := checker.CheckCert(cert.ValidPrincipals[0], cert); err != nil {
		return nil, BadAnswer("the SSH certificate does not verify: %v", err)
	}
	if !slices.ContainsFunc(authorities, func(a ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), cert.SignatureKey.Marshal()) }) {
		return nil, BadAnswer("the SSH certificate is signed by a key that is not among the authorities")
	}
	return cert, nil
}

// checkX509 reads a PEM certificate and holds it to what was asked: a client
// certificate for our key, not expired, signed by the authority.
func checkX509(text string, key *ecdsa.PublicKey, authorities []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	certs, err := parseCertificates(text)
	if err != nil || len(certs) != 1 {
		return nil, BadAnswer("the X.509 certificate is not one PEM certificate")
	}
	cert := certs[0]
	switch {
	case !key.Equal(cert.PublicKey):
		return nil, BadAnswer("the X.509 certificate is for another key")
	case cert.IsCA:
		return nil, BadAnswer("the X.509 certificate is an authority's")
	case len(authorities) == 0:
		return nil, BadAnswer("the X.509 authority is missing")
	}
	if err := checkTime("X.509 certificate", cert.NotAfter, now); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, authority := range authorities {
		roots.AddCert(authority)
	}
	purpose := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: purpose, CurrentTime: cert.NotBefore}); err != nil {
		return nil, BadAnswer("the X.509 certificate does not verify: %v", err)
	}
	return cert, nil
}

func checkTime(what string, until, now time.Time) error {
	if !until.After(now) {
		return BadAnswer("the %s expired at %s, and this machine's clock says %s", what, until.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// sshTime turns a certificate's seconds into a time; forever becomes year 9999.
func sshTime(seconds uint64) time.Time {
	const year9999 = 253402300799
	return time.Unix(int64(min(seconds, year9999)), 0)
}

// parseCertificates reads PEM certificates and nothing else.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	rest := []byte(text)
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("not a PEM certificate")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

// parseAuthorities reads lines of the authorized_keys format.
func parseAuthorities(lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, line := range lines {
		key, err := parseKeyLine(line)
		if err != nil {
			return nil, BadAnswer("an SSH authority is not one public key line")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parseKeyLine reads one line with one key and no options.
func parseKeyLine(line string) (ssh.PublicKey, error) {
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err == nil && (len(options) > 0 || strings.ContainsAny(strings.TrimSpace(line), "\r\n")) {
		err = errors.New("more than a key")
	}
	return key, err
}

// keyLine is a public key as one line, made anew so that nothing of the
// answer's text gets into a file.
func keyLine(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func pemCertificates(certs []*x509.Certificate) []byte {
	var out []byte
	for _, cert := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}
