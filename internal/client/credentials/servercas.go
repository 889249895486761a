package credentials

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// ServerCAs are the authorities that a server's certificate is checked by.
type ServerCAs struct {
	// PEM are the certificates; they are written as they are, without what stands between them.
	PEM []byte
	// System tells that they are the machine's own, which programs that know
	// them by themselves need not be told.
	System bool
}

// SystemCAs is the value of an option that stands for the machine's own authorities.
const SystemCAs = "system"

func serverCAOption(name string) Option {
	return Option{Name: name, Default: SystemCAs, File: true, Help: "what the server's certificate is checked by: a PEM file, or system"}
}

// bundles are where systems keep the authorities that they trust; the first that is there counts.
var bundles = [...]string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine, Arch
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/pki/tls/certs/ca-bundle.crt",                  // older RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/ssl/cert.pem",                                 // macOS, BSD
}

// serverCAs reads the file that an option names, or the system's bundle.
func (w *Wish) serverCAs(option string) (ServerCAs, error) {
	if value := w.Text(option); value != SystemCAs && value != "" {
		raw, err := os.ReadFile(value)
		if err != nil {
			return ServerCAs{}, cli.Misused("reading --%s: %w", option, err).
				Hint("it names a PEM file with the authority of the server's certificate, or is the word system")
		}
		return newServerCAs(value, raw, false)
	}
	files := bundles[:]
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		files = []string{file}
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return ServerCAs{}, cli.Failed("reading the system's authorities: %w", err).Hint("give --%s FILE", option)
		}
		return newServerCAs(file, raw, true)
	}
	return ServerCAs{}, cli.Failed("this system has no bundle of authorities to check the server by").
		Hint("install ca-certificates, or give --%s FILE with the authority of the server's certificate", option)
}

// newServerCAs reads a PEM file's contents. The name is for messages.
func newServerCAs(name string, raw []byte, system bool) (ServerCAs, error) {
	var all []byte
	for rest := raw; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if len(bytes.TrimSpace(all)) == 0 {
				return ServerCAs{}, cli.Misused("%s holds no PEM certificate", name).
					Hint("it must contain -----BEGIN CERTIFICATE----- blocks: those of the authority that signed the server's certificate")
			}
			return ServerCAs{PEM: all, System: system}, nil
		}
		if block.Type != "CERTIFICATE" {
			return ServerCAs{}, cli.Misused("%s holds a %s", name, words.Clean(block.Type)).
				Hint("give the certificates of the server's authority alone")
		}
		// The machine's bundle is believed as it is: some of its certificates are
		// older than the rules that Go reads them by.
		if _, err := x509.ParseCertificate(block.Bytes); err != nil && !system {
			return ServerCAs{}, cli.Misused("%s holds a certificate that cannot be read: %w", name, err).
				Hint("look at it with: openssl x509 -in FILE -noout -text")
		}
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
	}
}
