package ctl

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// oneAuthority is a deployment with one X.509 authority.
type oneAuthority struct{ a *authority.Authority }

func newAuthority(t *testing.T) oneAuthority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.NewX509Authority(rand.Reader, key, cert.X509Database, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return oneAuthority{&authority.Authority{Purpose: cert.X509Database, Signer: key, Certificate: c,
		TrustedKeys: []crypto.PublicKey{key.Public()}, TrustedCertificates: []*x509.Certificate{c}}}
}

func (oneAuthority) Prepare(context.Context) {}

func (o oneAuthority) Authority(_ context.Context, p cert.Purpose) (*authority.Authority, error) {
	if p != o.a.Purpose {
		return nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	}
	return o.a, nil
}

// stored are revocations as a store has them.
type stored []store.Revocation

func (s stored) Revocations(context.Context) ([]store.Revocation, error) { return s, nil }

func (o oneAuthority) crl(t *testing.T, all ...store.Revocation) string {
	t.Helper()
	lists := authority.NewLists(authority.ListsConfig{Revocations: stored(all), Authorities: o, Now: time.Now, Rand: rand.Reader})
	list, err := lists.CRL(t.Context(), cert.X509Database)
	if err != nil {
		t.Fatal(err)
	}
	return string(list.Content)
}

func TestCRLOfTheService(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	revocation := store.Revocation{ID: "one", At: time.Now(), Certificates: []store.RevokedCertificate{
		{Authority: cert.X509Database, Serial: "ff", ExpiresAt: time.Now().Add(time.Hour)},
	}}
	empty, whole := ours.crl(t), ours.crl(t, revocation)
	var asked atomic.Int32
	answer := func(texts ...string) *httptest.Server {
		asked.Store(0)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != api.PathRevokedCRL {
				t.Errorf("asked for %s", r.URL.Path)
			}
			i := min(int(asked.Add(1)), len(texts)) - 1
			if texts[i] == "" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = io.WriteString(w, texts[i])
		}))
		t.Cleanup(s.Close)
		return s
	}
	get := func(within time.Duration, s *httptest.Server) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return freshCRL(ctx, s.URL, ours, []store.Revocation{revocation}, time.Now)
	}
	t.Run("it waits until the list has what was revoked", func(t *testing.T) {
		if text, err := get(time.Minute, answer(empty, whole)); err != nil || text != whole || asked.Load() != 2 {
			t.Errorf("asked %d times: %v", asked.Load(), err)
		}
	})
	for name, c := range map[string]struct{ text, want string }{
		"a list that stays incomplete":       {empty, "it lacks what was revoked: the serial ff"},
		"a list of another's authority":      {theirs.crl(t, revocation), "is not signed by an authority"},
		"a page of something else":           {"<html>", "it is not CRLs in PEM"},
		"a service that is out of its depth": {"", "503"},
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := get(100*time.Millisecond, answer(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, %v; want an error with %q", text, err, c.want)
			}
		})
	}
}
