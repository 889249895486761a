package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// brittleStore fails to write while it is told to, and counts what it was asked.
type brittleStore struct {
	join.Store
	fails  atomic.Bool
	leases atomic.Int32
}

func (b *brittleStore) Lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	b.leases.Add(1)
	if b.fails.Load() {
		return false, errors.New("secret cause: the disk is full")
	}
	return b.Store.Lease(ctx, name, now, until)
}

// While every join is answered with 503, so is the question for the service's health, and
// whoever asks often makes the service look no more often.
func TestHealthIsThatOfJoins(t *testing.T) {
	var brittle *brittleStore
	s := newService(t, func(s *service, _ *server.Config) {
		brittle = &brittleStore{Store: s.config.Store}
		s.config.Store = brittle
	})
	ask := func(want int, code api.Code) {
		t.Helper()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				a := s.do(http.MethodGet, api.PathHealth, nil)
				if a.status != want || a.problem != nil && (a.problem.Code != code || a.header.Get("Retry-After") == "") || strings.Contains(a.body, "secret") {
					t.Errorf("answered %d %s", a.status, a.body)
				}
			})
		}
		wg.Wait()
	}
	ask(http.StatusOK, "")
	brittle.fails.Store(true)
	ask(http.StatusOK, "") // it was well a moment ago
	if n := brittle.leases.Load(); n != 1 {
		t.Errorf("40 questions looked %d times", n)
	}
	s.clock.advance(5 * time.Second)
	ask(http.StatusServiceUnavailable, api.CodeStoreUnavailable)
	if !strings.Contains(s.log.String(), "the disk is full") {
		t.Errorf("the log lacks the cause: %s", s.log)
	}
	brittle.fails.Store(false)
	s.clock.advance(5 * time.Second)
	ask(http.StatusOK, "")
	if n := brittle.leases.Load(); n != 3 {
		t.Errorf("looked %d times, want 3", n)
	}
}

func TestHealthWithoutAuthorities(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) { s.config.Authorities = deadAuthorities{errors.New("no key")} })
	if a := s.do(http.MethodGet, api.PathHealth, nil); a.problem == nil || a.problem.Code != api.CodeSignerUnavailable {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// A path is taken as it is written: what stands before the service may have let another
// one pass.
func TestEscapedPathsAreOthers(t *testing.T) {
	s := newService(t)
	for _, path := range []string{"/v1%2fjoin", "/v1%2Fjoin", "/%76%31/join", "/v1/joi%6e", "/v1/authorities%2fssh-user.pub", "//v1/join", "/v1//join", "/v1/./join", "/v1/x/../join", "/v1/join/", "/V1/join"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if a := s.do(method, path, nil); a.problem == nil || a.problem.Code != api.CodeNotFound {
				t.Errorf("%s %s: answered %d %s", method, path, a.status, a.body)
			}
		}
	}
}
