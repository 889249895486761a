package ctl

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	// maxLists bounds what is read of a service's CRLs.
	maxLists = 16 << 20
	// askAgain is how often the service is asked for CRLs that are not whole yet.
	askAgain = 2 * time.Second
	// listsWithin is by when they are: the service reads what was revoked again after
	// authority.ListsMaxAge, and its authorities after a minute.
	listsWithin = authority.ListsMaxAge + time.Minute + askWithin
)

// freshCRL returns the CRLs that the service makes, once they have all of revocations:
// the keys' policies let nobody else sign. They are checked against the authorities.
func freshCRL(ctx context.Context, url string, authorities authority.Authorities, revocations []store.Revocation, now func() time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, listsWithin)
	defer cancel()
	issuers, serials, err := expected(ctx, authorities, revocations, now())
	if err != nil {
		return "", err
	}
	for {
		body, err := get(ctx, url+api.PathRevokedCRL, maxLists)
		if err != nil {
			return "", err
		}
		text := string(body)
		wrong := authority.CheckCRL(text, issuers, serials, now())
		if wrong == nil {
			return text, nil
		}
		if wait.For(ctx, askAgain) != nil {
			return "", fmt.Errorf("%s: %w", url+api.PathRevokedCRL, wrong)
		}
	}
}

// expected is what CRLs must be of and have.
func expected(ctx context.Context, authorities authority.Authorities, revocations []store.Revocation, now time.Time) (issuers []*x509.Certificate, serials []*big.Int, err error) {
	all, err := authority.All(ctx, authorities, cert.X509Purposes()...)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range all {
		issuers = append(issuers, a.TrustedCertificates...)
		entries, err := authority.RevokedOf(revocations, a.Purpose, now)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			serials = append(serials, e.Serial)
		}
	}
	return issuers, serials, nil
}
