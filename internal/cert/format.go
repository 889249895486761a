package cert

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SSHLine returns a public key as one authorized_keys line without a newline,
// with a comment if that is not empty. Servers take an SSH authority in this form.
func SSHLine(key crypto.PublicKey, comment string) (string, error) {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return "", err
	}
	if !printableASCII(comment) {
		return "", errors.New("the comment of a public key line is printable ASCII")
	}
	line := string(bytes.TrimSuffix(ssh.MarshalAuthorizedKey(public), []byte("\n")))
	if comment != "" {
		line += " " + comment
	}
	return line, nil
}

// SSHFingerprint returns a key's fingerprint as ssh-keygen -l prints it, "SHA256:…".
func SSHFingerprint(key crypto.PublicKey) (string, error) {
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(public), nil
}

// X509Fingerprint returns the SHA-256 of a certificate as openssl x509
// -fingerprint -sha256 prints it: "AB:CD:…", 32 octets.
func X509Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	octets := make([]string, len(sum))
	for i, b := range sum {
		octets[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(octets, ":")
}

// CertificatePEM returns a certificate in PEM (RFC 7468 §5), ending in a newline.
func CertificatePEM(c *x509.Certificate) string { return certificatePEM(c.Raw) }

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: der}))
}

const certificateType = "CERTIFICATE"

// maxCertificate bounds a certificate in PEM, in bytes.
const maxCertificate = 16 << 10

// ParseCertificatePEM reads a certificate that is exactly one PEM block.
func ParseCertificatePEM(text string) (*x509.Certificate, error) {
	der, err := onePEM(text, certificateType, maxCertificate)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
