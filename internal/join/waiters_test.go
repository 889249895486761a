package join

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// A thousand guessed key ids at issuers that do not answer hold no more than the bounded number
// of requests. The others are refused at once and told when to come back, and every place
// is free again afterwards.
func TestWaitersForKeysAreBounded(t *testing.T) {
	const each = 200
	for _, c := range []struct {
		issuers, waiting int
	}{
		{1, maxIssuerWaiters},
		{3, 3 * maxIssuerWaiters},
		{6, maxWaiters},
	} {
		t.Run(fmt.Sprintf("%d issuers", c.issuers), func(t *testing.T) {
			s := slowIssuers()
			var wg sync.WaitGroup
			refused := make(chan error, c.issuers*each)
			for i := range c.issuers {
				for range each {
					wg.Go(func() {
						_, _, err := s.findKeySet(t.Context(), fmt.Sprintf("https://%d.example.com", i), "nobody", issuertest.ES256)
						refused <- err
					})
				}
			}
			for range c.issuers*each - c.waiting {
				err := <-refused
				if r := asRefusal(err); r.Problem.Code != api.CodeIssuerKeysUnavailable || r.RetryAfter <= 0 {
					t.Fatalf("got %v, come back after %s", err, r.RetryAfter)
				}
			}
			close(s.store.answer)
			wg.Wait()
			if n := int(s.store.waited.Load()); n != c.waiting {
				t.Errorf("%d requests waited at a time, want %d", n, c.waiting)
			}
			if s.waiters.all != 0 || len(s.waiters.of) != 0 {
				t.Errorf("places that are still taken: %d, %v", s.waiters.all, s.waiters.of)
			}
		})
	}
}

// slowService is a Service whose issuers do not answer before answer is closed.
type slowService struct {
	*Service
	store *slowStore
}

type slowStore struct {
	Store // nil: nothing else is called

	answer chan struct{}
	waited atomic.Int32
}

func slowIssuers() slowService {
	slow := &slowStore{answer: make(chan struct{})}
	return slowService{&Service{keys: newKeyCache(), Config: Config{Store: slow, Refresher: slow, Now: time.Now, Wait: slow.wait}}, slow}
}

func (s *slowStore) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, store.ErrNotFound
}

func (s *slowStore) Lease(context.Context, string, time.Time, time.Time) (bool, error) {
	return true, nil
}

func (s *slowStore) Refresh(context.Context, string) error {
	s.waited.Add(1)
	<-s.answer
	return errNoAnswer
}

// wait is what all but the first of an issuer do.
func (s *slowStore) wait(ctx context.Context, _ time.Duration) error { return s.Refresh(ctx, "") }

var errNoAnswer = errors.New("no answer in time")
