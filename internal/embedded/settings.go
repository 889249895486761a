package embedded

import (
	"log/slog"
	"time"

	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// NewRefresher returns a refresher that dials issuers as c says.
func NewRefresher(store store.KeySets, c jwks.ClientConfig, now func() time.Time, log *slog.Logger) (*jwks.Refresher, error) {
	client, err := jwks.NewHTTPClient(c)
	if err != nil {
		return nil, err
	}
	return jwks.New(jwks.Config{Store: store, HTTP: client, Now: now, Log: log}), nil
}
