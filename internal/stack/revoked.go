package stack

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/revoke"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	// maxLists bounds what is read of a service's CRLs.
	maxLists = 16 << 20
	// askAgain is how often the service is asked for CRLs that are not whole yet.
	askAgain = 2 * time.Second
	// listsWithin is by when they are: the service reads what was revoked again after
	// revoke.MaxAge, and its authorities after a minute.
	listsWithin = revoke.MaxAge + time.Minute + askTimeout
)

// CRL returns the CRLs that the service makes, once they have all of revocations:
// the keys' policies let nobody else sign. They are checked against the authorities.
func (s *Stack) CRL(ctx context.Context, revocations []store.Revocation, now func() time.Time) (string, error) {
	return freshCRL(ctx, &http.Client{Timeout: askTimeout}, s.JoinURL, s.Authorities, revocations, now)
}

func freshCRL(ctx context.Context, client *http.Client, url string, authorities join.Authorities, revocations []store.Revocation, now func() time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, listsWithin)
	defer cancel()
	issuers, serials, err := expected(ctx, authorities, revocations, now())
	if err != nil {
		return "", err
	}
	for {
		text, err := get(ctx, client, url+api.PathRevokedCRL)
		if err != nil {
			return "", err
		}
		wrong := revoke.CheckCRL(text, issuers, serials, now())
		if wrong == nil {
			return text, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s: %w", url+api.PathRevokedCRL, wrong)
		case <-time.After(askAgain):
		}
	}
}

// expected is what CRLs must be of and have.
func expected(ctx context.Context, authorities join.Authorities, revocations []store.Revocation, now time.Time) (issuers []*x509.Certificate, serials []*big.Int, err error) {
	for _, p := range cert.Purposes() {
		if !p.IsX509() {
			continue
		}
		authority, err := authorities.Authority(ctx, p)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		issuers = append(issuers, authority.TrustedCertificates...)
		entries, err := revoke.Current(revocations, p, now)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			serials = append(serials, e.Serial)
		}
	}
	return issuers, serials, nil
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxLists))
	return string(body), err
}
