package jwks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

// DefaultConcurrency is how many issuers are asked at a time. One that hangs
// holds a place for two calls' time, so it takes as many to hold up the others.
const DefaultConcurrency = 16

// Config is what a Refresher works with.
type Config struct {
	// Store keeps the key sets. Required.
	Store store.KeySets
	// HTTP dials issuers; default what NewHTTPClient makes of the zero ClientConfig.
	HTTP *http.Client
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Log tells of changed sets and failures; default nowhere.
	Log *slog.Logger
	// Concurrency is how many issuers are asked at a time; default DefaultConcurrency.
	Concurrency int
	// Jitter draws what is added to a pause of Run, from 0 up to max; default at random.
	Jitter func(max time.Duration) time.Duration
}

// Refresher fetches key sets and stores them. It may be used concurrently.
type Refresher struct{ c Config }

var _ join.Refresher = (*Refresher)(nil)

// New returns a Refresher; c.Store must be set.
func New(c Config) *Refresher {
	if c.HTTP == nil {
		c.HTTP = dialing{}.client()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Concurrency <= 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.Jitter == nil {
		c.Jitter = func(max time.Duration) time.Duration { return rand.N(max + 1) }
	}
	return &Refresher{c: c}
}

// Result is what the refresh of one issuer came to.
type Result struct {
	Issuer string
	// Err is nil if a good set was stored, or the set is pinned. It is a
	// *FetchError if the issuer is at fault, else the store's.
	Err error
	// Keys is how many keys the stored set has now.
	Keys int
	// Added and Removed are the kids of keys that came and went, sorted. A kid
	// whose key was exchanged is in both.
	Added, Removed []string
	// Pinned says that the set was imported by hand and the issuer not asked.
	Pinned bool
	// Overtaken says that another fetch began later and ended earlier: what it stored
	// stands, and Keys counts that.
	Overtaken bool
	// Dropped are the keys that were left out.
	Dropped []Dropped
}

// Refresh fetches one issuer's key set and stores it. If that fails, the stored
// set stays, the failure is noted with it, and the error is a *FetchError. For a
// pinned set the error is ErrPinned and nothing is fetched.
func (r *Refresher) Refresh(ctx context.Context, issuer string) error {
	res := r.RefreshOne(ctx, issuer)
	if res.Pinned {
		return fmt.Errorf("%s: %w", issuer, store.ErrPinned)
	}
	return res.Err
}

// RefreshAll refreshes every issuer that a stored token names and returns one
// Result each, by issuer. An issuer that fails does not keep the others from
// being refreshed; the error is only for when the issuers cannot be listed. Each of
// watch is told, one call at a time, how many issuers of how many were asked.
func (r *Refresher) RefreshAll(ctx context.Context, watch ...func(done, total int)) ([]Result, error) {
	issuers, err := r.c.Store.Issuers(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the issuers of token rules: %w", err)
	}
	return Each(issuers, r.c.Concurrency, func(issuer string) Result { return r.RefreshOne(ctx, issuer) }, watch...), nil
}

// Each refreshes issuers, so many at a time, and returns one Result each, in their order.
func Each(issuers []string, atATime int, refresh func(issuer string) Result, watch ...func(done, total int)) []Result {
	results := make([]Result, len(issuers))
	var (
		group errgroup.Group
		mu    sync.Mutex
		done  int
	)
	group.SetLimit(atATime)
	for i, issuer := range issuers {
		group.Go(func() error {
			results[i] = refresh(issuer)
			mu.Lock()
			defer mu.Unlock()
			done++
			for _, seen := range watch {
				seen(done, len(issuers))
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	return results
}

// Run refreshes all issuers at once and then again and again until ctx ends,
// with a pause of every, give or take a tenth, so that instances that started
// together do not stay in step. It returns when ctx has ended.
func (r *Refresher) Run(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		if _, err := r.RefreshAll(ctx); err != nil && ctx.Err() == nil {
			r.c.Log.ErrorContext(ctx, "key sets not refreshed", "error", err)
		}
		_ = wait.For(ctx, every-every/10+r.c.Jitter(every/5)) // the loop looks at ctx itself
	}
}

// RefreshOne is Refresh for who wants to know what it changed. A pinned set is not an error.
func (r *Refresher) RefreshOne(ctx context.Context, issuer string) Result {
	res := r.fetchAndStore(ctx, issuer)
	log := r.c.Log.With("issuer", issuer, "keys", res.Keys)
	switch {
	case res.Err != nil:
		log.WarnContext(ctx, "key set not refreshed", "error", res.Err)
	case len(res.Added)+len(res.Removed) > 0:
		log.InfoContext(ctx, "key set changed", "added", res.Added, "removed", res.Removed, "dropped", texts(res.Dropped))
	default:
		log.DebugContext(ctx, "key set unchanged", "pinned", res.Pinned, "dropped", texts(res.Dropped))
	}
	return res
}

func (r *Refresher) fetchAndStore(ctx context.Context, issuer string) Result {
	old, err := r.c.Store.KeySet(ctx, issuer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Result{Issuer: issuer, Err: fmt.Errorf("reading the stored key set of %s: %w", issuer, err)}
	}
	old.Issuer = issuer
	res := Compare(old, old)
	if old.Pinned {
		return res
	}
	// The time before the first call: the set is at least as new as that, and
	// of two fetches at once the one that asked later has the newer answer.
	at := r.c.Now().UTC().Round(0)
	set, dropped, err := Fetch(ctx, r.c.HTTP, issuer)
	res.Dropped = dropped
	if err == nil {
		err = tookTooLong(issuer, r.c.Now().Round(0).Sub(at))
	}
	if err != nil {
		res.Err = r.note(ctx, issuer, at, err)
		return res
	}
	fetched := store.KeySet{Issuer: issuer, JWKS: set, FetchedAt: at, TriedAt: at}
	err = r.c.Store.PutKeySet(ctx, fetched)
	switch {
	case errors.Is(err, store.ErrPinned): // meanwhile
		res.Pinned = true
		return res
	case errors.Is(err, store.ErrFetchedLater):
		res.Overtaken = true
		if fetched, err = r.c.Store.KeySet(ctx, issuer); err != nil {
			res.Err = fmt.Errorf("reading the stored key set of %s: %w", issuer, err)
			return res
		}
	case err != nil:
		res.Err = fmt.Errorf("storing the key set of %s: %w", issuer, err)
		return res
	}
	now := Compare(old, fetched)
	now.Overtaken, now.Dropped = res.Overtaken, dropped
	return now
}

// tookTooLong refuses what was fetched while the clock jumped or the machine slept: the
// set would seem older or newer than it is, and stores believe no set that is further
// from another.
func tookTooLong(issuer string, took time.Duration) error {
	if took.Abs() <= store.MaxClockSkew {
		return nil
	}
	return &FetchError{Issuer: issuer, Reason: fmt.Sprintf("by this machine's clock the fetch took %s: the clock was set, or the machine slept; check its clock and try again", took.Round(time.Second))}
}

// Compare says what became of an issuer's key set.
func Compare(before, after store.KeySet) Result {
	oldKeys, newKeys := keysOf(before.JWKS), keysOf(after.JWKS)
	return Result{Issuer: after.Issuer, Keys: len(newKeys), Pinned: after.Pinned,
		Added: missing(newKeys, oldKeys), Removed: missing(oldKeys, newKeys)}
}

// note stores why a fetch failed and returns err, with what went wrong in
// storing it. A caller that gave up is no failure of the issuer's.
func (r *Refresher) note(ctx context.Context, issuer string, at time.Time, err error) error {
	var fetchErr *FetchError
	if ctx.Err() != nil || !errors.As(err, &fetchErr) {
		return err
	}
	if noteErr := r.c.Store.KeySetFailed(ctx, issuer, at, fetchErr.Reason); noteErr != nil {
		return errors.Join(err, fmt.Errorf("noting that: %w", noteErr))
	}
	return err
}

// keysOf returns the kid of each key of a cleaned set by the key's JSON. A
// stored set that cannot be read has none; the next good one replaces it.
func keysOf(cleaned []byte) map[string]string {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	keys := map[string]string{}
	if len(cleaned) == 0 || json.Unmarshal(cleaned, &set) != nil {
		return keys
	}
	for _, raw := range set.Keys {
		var k jwk
		if json.Unmarshal(raw, &k) == nil {
			keys[string(raw)] = k.KID
		}
	}
	return keys
}

// missing returns the kids of the keys of a that b does not have, sorted.
func missing(a, b map[string]string) []string {
	var kids []string
	for raw, kid := range a {
		if _, ok := b[raw]; !ok {
			kids = append(kids, kid)
		}
	}
	slices.SortFunc(kids, cmp.Compare)
	return kids
}

func texts(dropped []Dropped) []string {
	list := make([]string, len(dropped))
	for i, d := range dropped {
		list[i] = d.String()
	}
	return list
}
