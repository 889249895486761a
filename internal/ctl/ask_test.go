package ctl_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// A service whose key set cannot be had has not said which keys of JWTs it goes by.
func TestAskPublishedWithoutKeySet(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		fails  bool
	}{
		"a service that signs no JWTs": {http.StatusNotFound, false},
		"one that cannot read its key": {http.StatusServiceUnavailable, true},
		"one that throttles":           {http.StatusTooManyRequests, true},
	} {
		t.Run(name, func(t *testing.T) {
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != api.PathAuthorities {
					w.WriteHeader(c.status)
					return
				}
				_, _ = w.Write([]byte(`{"ssh_user": [], "ssh_host": [], "x509": {}}`))
			}))
			defer service.Close()
			found, err := ctl.AskPublished(t.Context(), service.URL)
			if c.fails != (err != nil) || len(found[cert.JWT]) > 0 {
				t.Errorf("got %v, %v", found, err)
			}
		})
	}
}
