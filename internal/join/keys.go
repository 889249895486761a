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

// keyCache keeps parsed key sets by issuer, and when a lease to refresh one was last
// asked for. It holds no more issuers than the token rules name, since only their issuers
// are looked for.
type keyCache struct {
	mu    sync.Mutex
	sets  map[string]cachedKeySet
	asked map[string]time.Time
}

type cachedKeySet struct {
	stored store.KeySet
	parsed *token.KeySet
	readAt time.Time
}

// fresh reports whether the set was read less than KeyCacheAge ago.
func (c cachedKeySet) fresh(now time.Time) bool { return within(KeyCacheAge, now, c.readAt) }

// within reports whether then is less than d before now. It goes by wall time, since Go's
// monotonic clock may stand still while a machine sleeps. After a clock was set back a time
// may be ahead of now: by more than d it is not believed.
func within(d time.Duration, now, then time.Time) bool {
	return now.Round(0).Sub(then.Round(0)).Abs() < d
}

func newKeyCache() *keyCache {
	return &keyCache{sets: map[string]cachedKeySet{}, asked: map[string]time.Time{}}
}

// ask reports whether a lease to refresh the issuer may be asked for, which is a write: by
// this instance once a refreshEvery, whoever gets it.
func (c *keyCache) ask(issuer string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if asked, ok := c.asked[issuer]; ok && within(refreshEvery, now, asked) {
		return false
	}
	c.asked[issuer] = now
	return true
}

// unask lets the next one ask, after a lease that could not be asked for.
func (c *keyCache) unask(issuer string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.asked, issuer)
}

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
	case current && before.Pinned:
		return nil, false, unknownKey()
	case current && within(refreshEvery, now, before.FetchedAt):
		return nil, false, tooSoon(now, before.FetchedAt, fmt.Errorf("the keys of %s were fetched at %s, without the key %q", issuer, before.FetchedAt, kid))
	case before.Failure != "" && within(refreshEvery, now, before.TriedAt):
		return nil, false, tooSoon(now, before.TriedAt, fmt.Errorf("%s could not be refreshed: %s", issuer, before.Failure))
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
	if !s.keys.ask(issuer, now) {
		return s.awaitKeySet(ctx, issuer, kid, alg, before)
	}
	// The lease is spent whatever comes of it. A caller who hangs up must not end
	// the refresh, or one request a minute would keep every job with a new key out.
	refreshCtx, cancel := outlive(ctx, refreshTimeout)
	defer cancel()
	held, err := s.Store.Lease(refreshCtx, "refresh:"+issuer, now, now.Add(refreshEvery))
	if err != nil {
		s.keys.unask(issuer)
		return nil, storeUnavailable(fmt.Errorf("taking the lease to refresh %s: %w", issuer, err))
	}
	if !held {
		return s.awaitKeySet(ctx, issuer, kid, alg, before)
	}
	if err := s.Refresher.Refresh(refreshCtx, issuer); err != nil {
		return nil, keysUnavailable(err)
	}
	return s.lookAgain(ctx, issuer, kid, alg)
}

// awaitKeySet looks for what another caller or instance that refreshes comes to.
func (s *Service) awaitKeySet(ctx context.Context, issuer, kid, alg string, before store.KeySet) (*token.KeySet, error) {
	now := s.Now()
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
		case !after.FetchedAt.Equal(before.FetchedAt) && after.FetchedAt.Before(now):
			// It was asked for before this ID token came: the key may be newer.
			return nil, tooSoon(s.Now(), after.FetchedAt, fmt.Errorf("the keys of %s were fetched at %s, without the key %q", issuer, after.FetchedAt, kid))
		case !after.FetchedAt.Equal(before.FetchedAt):
			return nil, unknownKey()
		case !after.TriedAt.Equal(before.TriedAt):
			return nil, tooSoon(s.Now(), after.TriedAt, fmt.Errorf("%s could not be refreshed: %s", issuer, after.Failure))
		}
	}
	return nil, keysUnavailable(fmt.Errorf("another request has not refreshed %s within %s", issuer, refreshWait))
}

// tooSoon refuses until the issuer may be asked again, which it was at a time.
func tooSoon(now, asked time.Time, cause error) *Refusal {
	rest := min(max(asked.Add(refreshEvery).Sub(now), time.Second), refreshEvery)
	return refuse(api.CodeIssuerKeysUnavailable,
		"the service does not have the key that the ID token is signed by, and asked its issuer a moment ago; send the same request again in %s, and if it lasts ask an administrator to run: gatepassctl keys ls",
		rest.Round(time.Second)).because(cause).retryAfter(rest)
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
