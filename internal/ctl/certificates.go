package ctl

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// errNotMade says that an X.509 authority has no certificate yet.
var errNotMade = errors.New("it is not made yet")

// certificates are the X.509 authorities' as an administrator sees them. The keys'
// policies let join alone sign by them: where a certificate is not made yet, the
// service is asked to show its authorities, which makes it.
type certificates struct {
	stored kms.Certificates
	ask    func() error // once, whoever of several at the same time is first
}

func newCertificates(stored kms.Certificates, url string) *certificates {
	return &certificates{stored: stored, ask: sync.OnceValue(func() error {
		// Not in the context of whoever is first: the others wait for the answer too.
		_, err := get(context.Background(), url+api.PathAuthorities, maxKeys)
		return err
	})}
}

// Certificate returns the stored certificate, and never store.ErrNotFound: that
// would have it made with the caller's own rights.
func (c *certificates) Certificate(ctx context.Context, p cert.Purpose, key string) (string, error) {
	pem, err := c.stored.Certificate(ctx, p, key)
	if !errors.Is(err, store.ErrNotFound) {
		return pem, err
	}
	asked := c.ask()
	if pem, err = c.stored.Certificate(ctx, p, key); !errors.Is(err, store.ErrNotFound) {
		return pem, err
	}
	if asked == nil {
		asked = errors.New("see the log of the function join")
	}
	return "", fmt.Errorf("%w, and the service could not be brought to make it: %w", errNotMade, asked)
}

// PutCertificate stores nothing.
func (c *certificates) PutCertificate(context.Context, cert.Purpose, string, string) (string, error) {
	return "", errNotMade
}
