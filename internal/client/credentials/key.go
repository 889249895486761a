package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// keyPair is a key that serves SSH and TLS. P-256 is what stock OpenSSH, every
// TLS library and KMS have in common.
type keyPair struct {
	private *ecdsa.PrivateKey
	ssh     ssh.PublicKey
}

func newKeyPair(random io.Reader) (*keyPair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	public, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return &keyPair{private: private, ssh: public}, nil
}

// csr proves possession of the key (RFC 2986). The service takes nothing else
// from it, so it names nobody. public is the key as the CSR has it, in DER.
func (k *keyPair) csr(random io.Reader) (csr string, public []byte, err error) {
	der, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{}, k.private)
	if err == nil {
		public, err = x509.MarshalPKIXPublicKey(&k.private.PublicKey)
	}
	if err != nil {
		return "", nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), public, nil
}

// pem is the private key as PKCS#8 (RFC 5958), the one form that ssh, openssl,
// curl and libpq all read.
func (k *keyPair) pem() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
