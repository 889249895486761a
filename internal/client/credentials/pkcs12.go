package credentials

import (
	"crypto/x509"
	"encoding/base32"
	"fmt"
	"io"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
)

// Files of the PKCS#12 format (RFC 7292), which Java reads.
const (
	fileKeystore   = "keystore.p12"
	fileTruststore = "truststore.p12"
	// FilePassword holds the password of both. It is a new one for each set, and
	// protects no more than the file's mode does: Java does without none.
	FilePassword = "keystore.password"
)

// pkcs12Names has a trust store only where Java's own is not the one to use.
func pkcs12Names(o *Database) []string {
	if o.config.ServerCAs.System {
		return []string{fileKeystore, FilePassword}
	}
	return []string{fileKeystore, fileTruststore, FilePassword}
}

func pkcs12Files(o *Database, g Granted, cert grantedCert) ([]destination.File, error) {
	password, err := newPassword(o.random)
	if err != nil {
		return nil, err
	}
	// AES-256 and SHA-256, which Java 8u301 and OpenSSL 1.1.1 read. The random
	// password needs no stretching.
	encoder := pkcs12.Modern2023.WithRand(o.random)
	keystore, err := encoder.Encode(cert.key.private, cert.cert, nil, password)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", fileKeystore, err)
	}
	files := []destination.File{{Name: fileKeystore, Data: keystore}}
	if !o.config.ServerCAs.System {
		cas, err := parseCertificates(string(o.config.ServerCAs.PEM))
		if err != nil {
			return nil, fmt.Errorf("reading the server's authorities: %w", err)
		}
		truststore, err := encodeTruststore(encoder, cas, password)
		if err != nil {
			return nil, err
		}
		files = append(files, destination.File{Name: fileTruststore, Data: truststore})
	}
	return append(files, destination.File{Name: FilePassword, Data: []byte(password)}), nil
}

// encodeTruststore names each certificate by its number: Java needs names that differ.
func encodeTruststore(encoder *pkcs12.Encoder, cas []*x509.Certificate, password string) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for i, ca := range cas {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: ca, FriendlyName: fmt.Sprintf("server-ca-%d", i+1)})
	}
	truststore, err := encoder.EncodeTrustStoreEntries(entries, password)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", fileTruststore, err)
	}
	return truststore, nil
}

// newPassword has 160 random bits, in letters and digits that need no quoting.
func newPassword(random io.Reader) (string, error) {
	raw := make([]byte, 20)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("making a password: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw)), nil
}

func pkcs12Next(_ *Database, dir string) string {
	return "keytool -list -keystore " + ShellQuote(dir+"/"+fileKeystore) + " -storepass:file " + ShellQuote(dir+"/"+FilePassword)
}
