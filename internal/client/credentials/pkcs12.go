package credentials

import (
	"encoding/base32"
	"fmt"
	"io"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// filePassword holds the password of a key store and its trust store. It is a new one
// for each set, and protects no more than the file's mode does: Java does without none.
const filePassword = "keystore.password"

// keystore is PKCS#12 (RFC 7292), which Java reads. There is a trust store only where
// Java's own is not the one to use.
func keystore(db databaseUser, o *Output) error {
	const fileKeystore, fileTruststore = "keystore.p12", "truststore.p12"
	o.files = []file{{fileKeystore, (*granted).keystore}}
	if !db.serverCAs.System {
		o.files = append(o.files, file{fileTruststore, db.serverCAs.truststore})
	}
	o.files = append(o.files, file{filePassword, (*granted).password})
	o.next = func(g *granted) string {
		return "keytool -list -keystore " + g.path(fileKeystore) + " -storepass:file " + g.path(filePassword)
	}
	return nil
}

// encoder uses AES-256 and SHA-256, which Java 8u301 and OpenSSL 1.1.1 read. The
// random password needs no stretching.
func (g *granted) encoder() *pkcs12.Encoder { return pkcs12.Modern2023.WithRand(g.random) }

func (g *granted) keystore() ([]byte, error) {
	password, err := g.password()
	if err != nil {
		return nil, err
	}
	return g.encoder().Encode(g.key.private, g.cert, nil, string(password))
}

// truststore names each certificate by its number: Java needs names that differ.
func (cas ServerCAs) truststore(g *granted) ([]byte, error) {
	password, err := g.password()
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(string(cas.PEM))
	if err != nil {
		return nil, fmt.Errorf("reading the server's authorities: %w", err)
	}
	var entries []pkcs12.TrustStoreEntry
	for i, cert := range certs {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: cert, FriendlyName: fmt.Sprintf("server-ca-%d", i+1)})
	}
	return g.encoder().EncodeTrustStoreEntries(entries, string(password))
}

// password is made once for all files of a set. It has 160 random bits, in letters
// and digits that need no quoting.
func (g *granted) password() ([]byte, error) {
	if g.secret == "" {
		raw := make([]byte, 20)
		if _, err := io.ReadFull(g.random, raw); err != nil {
			return nil, fmt.Errorf("making a password: %w", err)
		}
		g.secret = strings.ToLower(base32.StdEncoding.EncodeToString(raw))
	}
	return []byte(g.secret), nil
}
