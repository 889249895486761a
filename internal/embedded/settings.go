package embedded

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// Environment variables of the embedded server.
const (
	// EnvPrivateIssuers lists host:port of issuers that may be at private addresses.
	EnvPrivateIssuers = "GATEPASS_PRIVATE_ISSUERS"
	// EnvIssuerCA names a PEM file of certificates that those issuers are checked by, beside the system's.
	EnvIssuerCA = "GATEPASS_ISSUER_CA"
)

// IssuerSettings reads how issuers are dialed from the environment.
func IssuerSettings(getenv func(string) string) (jwks.ClientConfig, error) {
	var c jwks.ClientConfig
	var err error
	if c.PrivateIssuers, err = jwks.ParsePrivateIssuers(getenv(EnvPrivateIssuers)); err != nil {
		return c, fmt.Errorf("%s: %w", EnvPrivateIssuers, err)
	}
	if file := getenv(EnvIssuerCA); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return c, fmt.Errorf("%s: %w", EnvIssuerCA, err)
		}
		if c.RootCAs, err = jwks.Roots(pem); err != nil {
			return c, err
		}
	}
	return c, nil
}

// NewRefresher returns a refresher that dials issuers as c says.
func NewRefresher(store store.KeySets, c jwks.ClientConfig, now func() time.Time, log *slog.Logger) (*jwks.Refresher, error) {
	client, err := jwks.NewHTTPClient(c)
	if err != nil {
		return nil, err
	}
	return jwks.New(jwks.Config{Store: store, HTTP: client, Now: now, Log: log}), nil
}
