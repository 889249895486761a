package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// ServerCAs are the authorities that a server's certificate is checked by.
type ServerCAs struct {
	// PEM are the certificates; they are written as they are, without what stands between them.
	PEM []byte
	// System tells that they are the machine's own, which programs that know
	// them by themselves need not be told.
	System bool
}

// NewServerCAs reads a PEM file's contents. The name is for messages.
func NewServerCAs(name string, raw []byte, system bool) (ServerCAs, error) {
	var all []byte
	for rest := raw; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if len(bytes.TrimSpace(all)) == 0 {
				return ServerCAs{}, failure.New(failure.Usage, "%s holds no PEM certificate", name).
					Hint("it must contain -----BEGIN CERTIFICATE----- blocks: those of the authority that signed the server's certificate")
			}
			return ServerCAs{PEM: all, System: system}, nil
		}
		if block.Type != "CERTIFICATE" {
			return ServerCAs{}, failure.New(failure.Usage, "%s holds a %s", name, failure.Clean(block.Type)).
				Hint("give the certificates of the server's authority alone")
		}
		// The machine's bundle is believed as it is: some of its certificates are
		// older than the rules that Go reads them by.
		if _, err := x509.ParseCertificate(block.Bytes); err != nil && !system {
			return ServerCAs{}, failure.New(failure.Usage, "%s holds a certificate that cannot be read: %w", name, err).
				Hint("look at it with: openssl x509 -in FILE -noout -text")
		}
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
}
