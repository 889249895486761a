package join

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	// KeyCacheAge is how long a key set is used without reading it again.
	KeyCacheAge = time.Minute
	// refreshEvery is how often an unknown key may make us ask an issuer again,
	// counted across all instances.
	refreshEvery = time.Minute
	// refreshWait is how long to wait for the refresh of another instance, looking every refreshPoll.
	refreshWait = 3 * time.Second
	refreshPoll = 200 * time.Millisecond
	// refreshTimeout bounds a refresh: two calls to the issuer of 10 s each, and the store's writes.
	refreshTimeout = 30 * time.Second
)

// keyCache keeps parsed key sets by issuer. It holds no more issuers than the
// token rules name, since only their issuers are looked for.
type keyCache struct {
	mu   sync.Mutex
	sets map[string]cachedKeySet
}

type cachedKeySet struct {
	stored store.KeySet
	parsed *token.KeySet
	readAt time.Time
}

// fresh reports whether the set was read less than KeyCacheAge ago. By wall
// time, since Go's monotonic clock may stand still while a machine sleeps; and
// a clock that was set back makes no set fresh.
func (c cachedKeySet) fresh(now time.Time) bool {
	return now.Round(0).Sub(c.readAt.Round(0)).Abs() < KeyCacheAge
}

func newKeyCache() *keyCache { return &keyCache{sets: map[string]cachedKeySet{}} }

func (c *keyCache) get(issuer string) (cachedKeySet, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set, ok := c.sets[issuer]
	return set, ok
}

func (c *keyCache) put(issuer string, set cachedKeySet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets[issuer] = set
}

// findKeySet returns a current key set of the issuer that has the key: from the
// cache, else from the store, else after a refresh, which waited says. The issuer is
// the rule's, never the token's.
func (s *Service) findKeySet(ctx context.Context, issuer, kid, alg string) (set *token.KeySet, waited bool, err error) {
	now := s.Now()
	if c, ok := s.keys.get(issuer); ok && c.fresh(now) && !c.stored.Stale(now) && c.parsed.Has(kid, alg) {
		return c.parsed, false, nil
	}
	before, parsed, err := s.readKeySet(ctx, issuer)
	if err != nil {
		return nil, false, err
	}
	current := parsed != nil && !before.Stale(now)
	switch {
	case current && parsed.Has(kid, alg):
		return parsed, false, nil
	case current && (before.Pinned || now.Sub(before.FetchedAt) < refreshEvery):
		return nil, false, unknownKey()
	}
	done, err := s.waiters.wait(issuer)
	if err != nil {
		return nil, false, err
	}
	defer done()
	set, err = s.refreshKeySet(ctx, issuer, kid, alg, before)
	return set, true, err
}

// refreshKeySet has the issuer's keys fetched, once a minute across all
// instances, and looks again.
func (s *Service) refreshKeySet(ctx context.Context, issuer, kid, alg string, before store.KeySet) (*token.KeySet, error) {
	now := s.Now()
	// The lease is spent whatever comes of it. A caller who hangs up must not end
	// the refresh, or one request a minute would keep every job with a new key out.
	refreshCtx, cancel := outlive(ctx, refreshTimeout)
	defer cancel()
	held, err := s.Store.Lease(refreshCtx, "refresh:"+issuer, now, now.Add(refreshEvery))
	if err != nil {
		return nil, storeUnavailable(fmt.Errorf("taking the lease to refresh %s: %w", issuer, err))
	}
	if held {
		if err := s.Refresher.Refresh(refreshCtx, issuer); err != nil {
			return nil, keysUnavailable(err)
		}
		return s.lookAgain(ctx, issuer, kid, alg)
	}
	if before.Failure != "" && now.Sub(before.TriedAt) < refreshEvery {
		return nil, keysUnavailable(fmt.Errorf("%s could not be refreshed: %s", issuer, before.Failure))
	}
	for waited := time.Duration(0); waited < refreshWait; waited += refreshPoll {
		if err := s.Wait(ctx, refreshPoll); err != nil {
			return nil, keysUnavailable(err)
		}
		after, parsed, err := s.readKeySet(ctx, issuer)
		switch {
		case err != nil:
			return nil, err
		case parsed != nil && !after.Stale(now) && parsed.Has(kid, alg):
			return parsed, nil
		case after.FetchedAt.After(before.FetchedAt):
			return nil, unknownKey()
		case after.TriedAt.After(before.TriedAt):
			return nil, keysUnavailable(fmt.Errorf("%s could not be refreshed: %s", issuer, after.Failure))
		}
	}
	return nil, keysUnavailable(fmt.Errorf("another instance has not refreshed %s within %s", issuer, refreshWait))
}

// outlive returns a context that ends after d, or at ctx's deadline if that is
// earlier, and not when ctx is canceled.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	deadline, ok := ctx.Deadline()
	if !ok {
		return longer, cancel
	}
	longer, cancelDeadline := context.WithDeadline(longer, deadline)
	return longer, func() { cancelDeadline(); cancel() }
}

// lookAgain reads the set that was just fetched.
func (s *Service) lookAgain(ctx context.Context, issuer, kid, alg string) (*token.KeySet, error) {
	stored, parsed, err := s.readKeySet(ctx, issuer)
	switch {
	case err != nil:
		return nil, err
	case parsed == nil || stored.Stale(s.Now()):
		return nil, keysUnavailable(fmt.Errorf("the refresh of %s left no current key set", issuer))
	case !parsed.Has(kid, alg):
		return nil, unknownKey()
	}
	return parsed, nil
}

// readKeySet reads the stored set, parses it unless it is the one in the cache,
// and caches it. parsed is nil if there is none yet.
func (s *Service) readKeySet(ctx context.Context, issuer string) (stored store.KeySet, parsed *token.KeySet, err error) {
	readAt := s.Now() // before the read: the set is at least as new as that
	stored, err = s.Store.KeySet(ctx, issuer)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(stored.JWKS) == 0 {
		return stored, nil, nil
	}
	if err != nil {
		return store.KeySet{}, nil, storeUnavailable(fmt.Errorf("reading the key set of %s: %w", issuer, err))
	}
	if c, ok := s.keys.get(issuer); ok && bytes.Equal(c.stored.JWKS, stored.JWKS) {
		parsed = c.parsed
	} else if parsed, err = token.ParseKeySet(stored.JWKS); err != nil {
		return store.KeySet{}, nil, keysUnavailable(fmt.Errorf("the stored key set of %s: %w", issuer, err))
	}
	s.keys.put(issuer, cachedKeySet{stored: stored, parsed: parsed, readAt: readAt})
	return stored, parsed, nil
}

func unknownKey() *Refusal {
	return refuse(api.CodeIDTokenUnknownKey,
		"the ID token is signed by a key that its issuer does not publish; check that the token is this job's own, and that the token rule names the issuer of this CI")
}
