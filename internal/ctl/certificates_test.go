package ctl

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// table holds certificates, and has those of made once the service was asked.
type table struct {
	err   error
	made  map[cert.Purpose]string
	asked atomic.Int32
}

func (s *table) Certificate(_ context.Context, p cert.Purpose, _ string) (string, error) {
	if s.err != nil {
		return "", s.err
	}
	if s.asked.Load() == 0 || s.made[p] == "" {
		return "", store.ErrNotFound
	}
	return s.made[p], nil
}

func (s *table) PutCertificate(context.Context, cert.Purpose, string, string) (string, error) {
	panic("an administrator stores no certificate")
}

// service answers with status, and makes certificates as join does.
func (s *table) service(t *testing.T, status int) *certificates {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != api.PathAuthorities {
			t.Errorf("asked for %s", r.URL.Path)
		}
		s.asked.Add(1)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return newCertificates(s, server.URL)
}

func TestCertificatesAreMadeByTheService(t *testing.T) {
	s := &table{made: map[cert.Purpose]string{cert.X509Identity: "identity", cert.X509Database: "database"}}
	c := s.service(t, http.StatusOK)
	var wg sync.WaitGroup
	for p, want := range s.made {
		wg.Go(func() {
			if pem, err := c.Certificate(t.Context(), p, ""); pem != want || err != nil {
				t.Errorf("%s: %q, %v", p, pem, err)
			}
		})
	}
	wg.Wait()
	if n := s.asked.Load(); n != 1 {
		t.Errorf("the service was asked %d times", n)
	}
}

func TestCertificatesThatAreNotMade(t *testing.T) {
	unreadable := errors.New("no right to read")
	for _, c := range []struct {
		name   string
		table  *table
		status int
		want   string
	}{
		{"the service cannot sign", &table{}, http.StatusServiceUnavailable, "/v1/authorities answered 503 Service Unavailable"},
		{"the service makes none", &table{}, http.StatusOK, "see the log of the function join"},
		{"the table cannot be read", &table{err: unreadable}, http.StatusOK, "no right to read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.table.service(t, c.status).Certificate(t.Context(), cert.X509Identity, "")
			// store.ErrNotFound would have it made with the administrator's rights.
			if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCertificatesOfNoService(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	c := newCertificates(&table{}, server.URL)
	if _, err := c.Certificate(t.Context(), cert.X509Identity, ""); !errors.Is(err, errNotMade) || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
	if _, err := c.PutCertificate(t.Context(), cert.X509Identity, "", "pem"); err == nil {
		t.Error("a certificate was stored")
	}
}
