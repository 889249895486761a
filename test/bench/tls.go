package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// newConnections are joins 8 at once on a server that speaks TLS itself, each by a new
// connection, against the same by connections that are kept.
func (b *bench) newConnections() error {
	roots, err := certify(b.dir)
	if err != nil {
		return err
	}
	s, err := b.serve("serve with TLS", b.dir,
		"--tls-cert", filepath.Join(b.dir, certificateFile), "--tls-key", filepath.Join(b.dir, keyFile))
	if err != nil {
		return err
	}
	defer s.stop()
	const atOnce = 8
	var kept, fresh []loaded
	for range b.size.rounds {
		for _, new := range []bool{false, true} {
			bodies, err := b.mint(b.size.joins)
			if err != nil {
				return err
			}
			client := newClient(atOnce, roots)
			client.Transport.(*http.Transport).DisableKeepAlives = new
			l, err := b.load(s, client, bodies, atOnce)
			if err != nil {
				return err
			}
			if new {
				fresh = append(fresh, l)
			} else {
				kept = append(kept, l)
			}
		}
	}
	b.addLoad("tls", "kept connections, 8 at once", medians(kept))
	b.addLoad("tls", "a new connection each, 8 at once", medians(fresh))
	b.table.add("tls", "a new connection each, 8 at once: CPU a join", medians(fresh).cpu/medians(kept).cpu, "x kept", nil)
	return nil
}

const (
	certificateFile = "server.pem"
	keyFile         = "server-key.pem"
)

// certify writes a server's certificate for 127.0.0.1 and its key into dir, and returns the
// roots to check it by.
func certify(dir string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return roots, errors.Join(
		os.WriteFile(filepath.Join(dir, certificateFile), certificate, 0o600),
		os.WriteFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}
