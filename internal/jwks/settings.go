package jwks

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Environment variables that say how issuers are dialed.
const (
	EnvPrivateIssuers = "GATEPASS_PRIVATE_ISSUERS"
	EnvIssuerCA       = "GATEPASS_ISSUER_CA"
)

// ReadClientConfig reads from the environment how issuers are dialed. Its error names
// each variable that is wrong.
func ReadClientConfig(getenv func(string) string) (ClientConfig, error) {
	private, err := ParsePrivateIssuers(getenv(EnvPrivateIssuers))
	roots, rootsErr := readRoots(getenv(EnvIssuerCA))
	return ClientConfig{PrivateIssuers: private, RootCAs: roots}, errors.Join(err, rootsErr)
}

// readRoots reads certificates in PEM: the value itself, since a stack's
// parameter can hold it, or the file that it names, from a layer or the zip.
func readRoots(v string) (*x509.CertPool, error) {
	if v = strings.TrimSpace(v); v == "" {
		return nil, nil
	}
	if strings.HasPrefix(v, "-----BEGIN ") {
		return Roots([]byte(v))
	}
	text, err := os.ReadFile(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; write certificates in PEM, or the path of a file of them", EnvIssuerCA, err)
	}
	return Roots(text)
}
