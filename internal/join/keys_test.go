package join

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// keyWorld is an issuer, a store of its key set and a lease, as findKeySet sees them.
type keyWorld struct {
	Store // nil: nothing else is called

	now     time.Time
	stored  *store.KeySet // nil if there is none
	issuer  *issuertest.Issuer
	kid     string // asked for
	down    error  // what a fetch ends with
	notes   bool   // that failure is stored, as by package jwks
	reads   int
	fetches int
	leases  int                  // asked for: each is a write
	held    time.Time            // the lease, until
	onWait  func(*keyWorld, int) // what another instance does while we wait
	waits   int
}

func (w *keyWorld) KeySet(context.Context, string) (store.KeySet, error) {
	w.reads++
	if w.stored == nil {
		return store.KeySet{}, store.ErrNotFound
	}
	return *w.stored, nil
}

func (w *keyWorld) Lease(_ context.Context, _ string, now, until time.Time) (bool, error) {
	w.leases++
	if now.Before(w.held) {
		return false, nil
	}
	w.held = until
	return true, nil
}

func (w *keyWorld) Refresh(context.Context, string) error {
	w.fetches++
	if w.down != nil {
		if w.notes {
			w.stored.TriedAt, w.stored.Failure = w.now, w.down.Error()
		}
		return w.down
	}
	w.fetched()
	return nil
}

// fetched stores the issuer's keys of now.
func (w *keyWorld) fetched() {
	keys, err := w.issuer.JWKS()
	if err != nil {
		panic(err)
	}
	w.stored = &store.KeySet{JWKS: keys, FetchedAt: w.now, TriedAt: w.now}
}

func (w *keyWorld) wait(_ context.Context, d time.Duration) error {
	w.now = w.now.Add(d)
	w.waits++
	if w.onWait != nil {
		w.onWait(w, w.waits)
	}
	return nil
}

func newKeyWorld(t *testing.T) (*keyWorld, *Service) {
	t.Helper()
	issuer, err := issuertest.New(issuertest.Config{Offline: true, Algorithm: issuertest.ES256})
	if err != nil {
		t.Fatal(err)
	}
	w := &keyWorld{now: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), issuer: issuer, kid: issuertest.FirstKeyID}
	w.fetched()
	s := &Service{keys: newKeyCache(), Config: Config{
		Store: w, Refresher: w, Wait: w.wait, Now: func() time.Time { return w.now },
	}}
	return w, s
}

func TestFindKeySet(t *testing.T) {
	down := errors.New("connection refused")
	rotate := func(t *testing.T, w *keyWorld) {
		t.Helper()
		if err := w.issuer.Rotate("second"); err != nil {
			t.Fatal(err)
		}
		w.kid = "second"
	}
	for _, c := range []struct {
		name    string
		world   func(*testing.T, *keyWorld)
		code    api.Code // empty if the key is found
		fetches int
		waits   bool
		retry   time.Duration // when to come back; 0 if it does not matter
	}{
		{name: "a key of the stored set"},
		{name: "a set that is 24 hours old is used", world: func(_ *testing.T, w *keyWorld) { w.now = w.now.Add(24 * time.Hour) }},
		{name: "an older set is refreshed", fetches: 1, world: func(_ *testing.T, w *keyWorld) { w.now = w.now.Add(24*time.Hour + time.Second) }},
		{name: "an older set whose issuer is down is not used", code: api.CodeIssuerKeysUnavailable, fetches: 1, world: func(_ *testing.T, w *keyWorld) {
			w.now, w.down = w.now.Add(24*time.Hour+time.Second), down
		}},
		{name: "no set at all is fetched", fetches: 1, world: func(_ *testing.T, w *keyWorld) { w.stored = nil }},
		{name: "no set at all and the issuer is down", code: api.CodeIssuerKeysUnavailable, fetches: 1, world: func(_ *testing.T, w *keyWorld) {
			w.stored, w.down = nil, down
		}},
		{name: "a new key is fetched", fetches: 1, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
		}},
		{name: "a new key of a set younger than a minute is for later", code: api.CodeIssuerKeysUnavailable, retry: 15 * time.Second, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(45 * time.Second)
			rotate(t, w)
		}},
		{name: "a new key of a set that is a minute old is fetched", fetches: 1, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Minute)
			rotate(t, w)
		}},
		{name: "a new key of a set from a little ahead of now is for later", code: api.CodeIssuerKeysUnavailable, retry: time.Minute, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(-30 * time.Second)
			rotate(t, w)
		}},
		{name: "a set of tomorrow is not believed", fetches: 1, world: func(t *testing.T, w *keyWorld) { w.now = w.now.Add(-24 * time.Hour) }},
		{name: "a set of tomorrow is not believed, and its issuer is down", code: api.CodeIssuerKeysUnavailable, fetches: 1, world: func(_ *testing.T, w *keyWorld) {
			w.now, w.down = w.now.Add(-24*time.Hour), down
		}},
		{name: "a new key, and a set of tomorrow", fetches: 1, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(-24 * time.Hour)
			rotate(t, w)
		}},
		{name: "a failure of tomorrow is not believed", fetches: 1, world: func(t *testing.T, w *keyWorld) {
			rotate(t, w)
			w.stored.FetchedAt = w.now.Add(-time.Hour)
			w.stored.TriedAt, w.stored.Failure = w.now.Add(24*time.Hour), "down"
		}},
		{name: "a key that the issuer does not have is unknown", code: api.CodeIDTokenUnknownKey, fetches: 1, world: func(_ *testing.T, w *keyWorld) {
			w.now, w.kid = w.now.Add(time.Hour), "nobody"
		}},
		{name: "a key of a pinned set that is not in it is unknown at once", code: api.CodeIDTokenUnknownKey, world: func(_ *testing.T, w *keyWorld) {
			w.now, w.kid, w.stored.Pinned = w.now.Add(time.Hour), "nobody", true
		}},
		{name: "a pinned set is never too old", world: func(_ *testing.T, w *keyWorld) {
			w.now, w.stored.Pinned = w.now.Add(1000*time.Hour), true
		}},
		{name: "whether a new key exists cannot be known while the issuer is down", code: api.CodeIssuerKeysUnavailable, fetches: 1, world: func(t *testing.T, w *keyWorld) {
			w.now, w.down = w.now.Add(time.Hour), down
			rotate(t, w)
		}},
		{name: "another instance fetches the new key meanwhile", waits: true, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
			w.held = w.now.Add(time.Minute)
			w.onWait = func(w *keyWorld, n int) {
				if n == 3 {
					w.fetched()
				}
			}
		}},
		{name: "another instance finds that there is no such key", waits: true, code: api.CodeIDTokenUnknownKey, world: func(_ *testing.T, w *keyWorld) {
			w.now, w.kid = w.now.Add(time.Hour), "nobody"
			w.held = w.now.Add(time.Minute)
			w.onWait = func(w *keyWorld, n int) {
				if n == 3 {
					w.fetched()
				}
			}
		}},
		{name: "another instance cannot reach the issuer", waits: true, code: api.CodeIssuerKeysUnavailable, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
			w.held = w.now.Add(time.Minute)
			w.onWait = func(w *keyWorld, n int) { w.stored.TriedAt, w.stored.Failure = w.now, "down" }
		}},
		{name: "another instance asked before this ID token came", waits: true, code: api.CodeIssuerKeysUnavailable, retry: 59 * time.Second, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
			asked := w.now.Add(-800 * time.Millisecond)
			w.held = asked.Add(time.Minute)
			w.onWait = func(w *keyWorld, n int) { w.stored.FetchedAt, w.stored.TriedAt = asked, asked }
		}},
		{name: "another instance takes more than three seconds", waits: true, code: api.CodeIssuerKeysUnavailable, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
			w.held = w.now.Add(time.Minute)
		}},
		{name: "another instance fetches after a failure of long ago", waits: true, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
			w.held = w.now.Add(time.Minute)
			w.stored.TriedAt, w.stored.Failure = w.now.Add(-time.Minute), "down"
			w.onWait = func(w *keyWorld, n int) {
				if n == 3 {
					w.fetched()
				}
			}
		}},
		{name: "a fetch that failed a moment ago is not waited for", code: api.CodeIssuerKeysUnavailable, retry: 50 * time.Second, world: func(t *testing.T, w *keyWorld) {
			w.now = w.now.Add(time.Hour)
			rotate(t, w)
			w.held = w.now.Add(time.Minute)
			w.stored.TriedAt, w.stored.Failure = w.now.Add(-10*time.Second), "down"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, s := newKeyWorld(t)
			if c.world != nil {
				c.world(t, w)
			}
			set, waited, err := s.findKeySet(t.Context(), "https://issuer.example.com", w.kid, issuertest.ES256)
			if c.code == "" && (err != nil || !set.Has(w.kid, issuertest.ES256)) {
				t.Errorf("not found: %v", err)
			}
			if c.code != "" && (err == nil || asRefusal(err).Problem.Code != c.code) {
				t.Errorf("got %v, want %s", err, c.code)
			}
			if c.retry != 0 && err != nil && asRefusal(err).RetryAfter != c.retry {
				t.Errorf("come back after %s, want %s", asRefusal(err).RetryAfter, c.retry)
			}
			if err == nil && waited != (w.fetches > 0 || w.waits > 0) {
				t.Errorf("waited for an issuer: %t, after %d fetches and %d waits", waited, w.fetches, w.waits)
			}
			if w.fetches != c.fetches {
				t.Errorf("%d fetches, want %d", w.fetches, c.fetches)
			}
			if (w.waits > 0) != c.waits || time.Duration(w.waits)*refreshPoll > refreshWait {
				t.Errorf("waited %d times", w.waits)
			}
		})
	}
}

// A flood of tokens with made-up key ids asks the issuer once a minute, and writes no
// more often than that: whether the issuer answers or fails, and whoever holds the lease.
func TestUnknownKeysAskTheIssuerOnceAMinute(t *testing.T) {
	for name, world := range map[string]func(*keyWorld){
		"an issuer that answers":            func(*keyWorld) {},
		"an issuer that is down":            func(w *keyWorld) { w.down = errors.New("connection refused") },
		"an issuer that is down, and noted": func(w *keyWorld) { w.down, w.notes = errors.New("connection refused"), true },
		"another holder that never ends":    func(w *keyWorld) { w.held = w.now.Add(24 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newKeyWorld(t)
			w.now, w.kid = w.now.Add(time.Hour), "nobody"
			world(w)
			began := w.now
			for w.now.Sub(began) < 10*time.Minute {
				if _, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", w.kid, issuertest.ES256); err == nil {
					t.Fatal("found a key that nobody has")
				}
				w.now = w.now.Add(time.Second)
			}
			if w.fetches > 10 || w.leases > 10 {
				t.Errorf("%d fetches and %d leases in ten minutes", w.fetches, w.leases)
			}
		})
	}
}

// A stranger that guesses once a second does not keep a job out whose CI has rotated its
// keys: the job comes back when it is told to, is never told that its key is unknown, and
// has joined within a minute.
func TestGuessesDoNotKeepARotationOut(t *testing.T) {
	for rotated := range 60 { // seconds after the first guess
		w, s := newKeyWorld(t)
		w.now = w.now.Add(time.Hour)
		began := w.now
		comesBack := began.Add(time.Duration(rotated) * time.Second)
		joined := false
		for second := range 125 {
			w.now = began.Add(time.Duration(second) * time.Second)
			if _, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", "guess", issuertest.ES256); err == nil {
				t.Fatal("found a key that nobody has")
			}
			if second == rotated {
				must(t, w.issuer.Rotate("second"))
			}
			if joined || w.now.Before(comesBack) {
				continue
			}
			_, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", "second", issuertest.ES256)
			if joined = err == nil; joined {
				if took := second - rotated; took > 60 {
					t.Errorf("rotated after %d s: the job joins after %d s", rotated, took)
				}
				continue
			}
			r := asRefusal(err)
			if r.Problem.Code != api.CodeIssuerKeysUnavailable || r.RetryAfter <= 0 {
				t.Fatalf("rotated after %d s: the job is told %v, to come back after %s", rotated, err, r.RetryAfter)
			}
			comesBack = w.now.Add(r.RetryAfter)
		}
		if !joined {
			t.Errorf("rotated after %d s: the job never joins", rotated)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeySetIsReadOnceAMinute(t *testing.T) {
	w, s := newKeyWorld(t)
	for range 59 {
		if _, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", issuertest.FirstKeyID, issuertest.ES256); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
	}
	if w.reads != 1 {
		t.Errorf("%d reads in a minute", w.reads)
	}
	w.now = w.now.Add(2 * time.Second)
	if _, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", issuertest.FirstKeyID, issuertest.ES256); err != nil || w.reads != 2 {
		t.Errorf("%d reads after a minute, %v", w.reads, err)
	}
}

// hangUp is a caller that goes away as soon as the issuer is asked.
type hangUp struct {
	*keyWorld
	cancel context.CancelFunc
}

func (h hangUp) Refresh(ctx context.Context, issuer string) error {
	h.cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	return h.keyWorld.Refresh(ctx, issuer)
}

// The lease of a minute is spent by then. If a caller could end the refresh by
// hanging up, one request a minute would keep every job with a new key out.
func TestACallerThatHangsUpDoesNotEndTheRefresh(t *testing.T) {
	w, s := newKeyWorld(t)
	w.now = w.now.Add(time.Hour)
	if err := w.issuer.Rotate("second"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.Refresher = hangUp{w, cancel}
	_, _, _ = s.findKeySet(ctx, "https://issuer.example.com", "nobody", issuertest.ES256)
	if w.fetches != 1 {
		t.Fatalf("%d fetches", w.fetches)
	}
	if _, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", "second", issuertest.ES256); err != nil {
		t.Errorf("the next caller is refused: %v", err)
	}
}

// A refresh has an end of its own, and keeps to an earlier one of the caller's.
func TestARefreshHasAnEnd(t *testing.T) {
	w, s := newKeyWorld(t)
	w.now, w.kid = w.now.Add(time.Hour), "nobody"
	var deadlines []time.Time
	s.Refresher = refresherFunc(func(ctx context.Context, _ string) error {
		deadline, ok := ctx.Deadline()
		if !ok {
			t.Error("the refresh has no end")
		}
		deadlines = append(deadlines, deadline)
		return errors.New("down")
	})
	_, _, _ = s.findKeySet(t.Context(), "https://a.example.com", w.kid, issuertest.ES256)
	w.held = time.Time{}
	soon := time.Now().Add(5 * time.Second)
	ctx, cancel := context.WithDeadline(t.Context(), soon)
	defer cancel()
	_, _, _ = s.findKeySet(ctx, "https://b.example.com", w.kid, issuertest.ES256)
	if len(deadlines) != 2 || time.Until(deadlines[0]) > refreshTimeout || !deadlines[1].Equal(soon) {
		t.Errorf("deadlines %v", deadlines)
	}
}

type refresherFunc func(context.Context, string) error

func (f refresherFunc) Refresh(ctx context.Context, issuer string) error { return f(ctx, issuer) }

// A clock that was set back must not keep a key set in use that was withdrawn: a set of
// an hour ahead is neither taken from the cache nor from the store.
func TestAClockSetBackReadsTheKeySetAgain(t *testing.T) {
	w, s := newKeyWorld(t)
	for _, step := range []time.Duration{0, -time.Hour} {
		w.now = w.now.Add(step)
		if _, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", w.kid, issuertest.ES256); err != nil {
			t.Fatal(err)
		}
	}
	if w.reads != 3 || w.fetches != 1 {
		t.Errorf("%d reads and %d fetches", w.reads, w.fetches)
	}
}

// One issuer's lease is not another's, and it lasts a minute.
func TestLeaseOfEachIssuer(t *testing.T) {
	w, s := newKeyWorld(t)
	w.now = w.now.Add(time.Hour)
	leases := &namedLeases{Store: w}
	s.Store = leases
	for _, issuer := range []string{"https://a.example.com", "https://b.example.com"} {
		_, _, _ = s.findKeySet(t.Context(), issuer, "nobody", issuertest.ES256)
		w.stored.FetchedAt = w.now.Add(-time.Hour)
	}
	if len(leases.names) != 2 || leases.names[0] == leases.names[1] {
		t.Errorf("leases %q", leases.names)
	}
	for _, d := range leases.lasting {
		if d != time.Minute {
			t.Errorf("a lease of %s", d)
		}
	}
}

type namedLeases struct {
	Store
	names   []string
	lasting []time.Duration
}

func (n *namedLeases) Lease(_ context.Context, name string, now, until time.Time) (bool, error) {
	n.names, n.lasting = append(n.names, name), append(n.lasting, until.Sub(now))
	return true, nil
}

// A key that its issuer withdrew is used for a minute at most, and a set that
// grows too old in the cache not at all.
func TestTheCacheKeepsNothingTooLong(t *testing.T) {
	const name = "https://issuer.example.com"
	t.Run("a key that was withdrawn", func(t *testing.T) {
		w, s := newKeyWorld(t)
		if _, _, err := s.findKeySet(t.Context(), name, w.kid, issuertest.ES256); err != nil {
			t.Fatal(err)
		}
		if err := w.issuer.AddKey("second", issuertest.ES256); err != nil {
			t.Fatal(err)
		}
		w.issuer.RemoveKey(issuertest.FirstKeyID)
		w.now = w.now.Add(time.Minute)
		w.fetched()
		if _, _, err := s.findKeySet(t.Context(), name, issuertest.FirstKeyID, issuertest.ES256); err == nil || asRefusal(err).Problem.Code != api.CodeIssuerKeysUnavailable {
			t.Errorf("got %v", err)
		}
		if _, _, err := s.findKeySet(t.Context(), name, "second", issuertest.ES256); err != nil {
			t.Error(err)
		}
	})
	t.Run("a set that grows too old", func(t *testing.T) {
		w, s := newKeyWorld(t)
		w.now, w.down = w.now.Add(store.MaxKeySetAge-10*time.Second), errors.New("connection refused")
		if _, _, err := s.findKeySet(t.Context(), name, w.kid, issuertest.ES256); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(20 * time.Second)
		if _, _, err := s.findKeySet(t.Context(), name, w.kid, issuertest.ES256); err == nil || asRefusal(err).Problem.Code != api.CodeIssuerKeysUnavailable {
			t.Errorf("got %v", err)
		}
	})
}

// A refresh that says it went well and left an old set, or none, gives no keys.
func TestARefreshThatStoresNothing(t *testing.T) {
	for name, prepare := range map[string]func(*keyWorld){
		"over an old set": func(w *keyWorld) { w.now = w.now.Add(store.MaxKeySetAge + time.Second) },
		"over no set":     func(w *keyWorld) { w.stored = nil },
		"while another instance refreshes": func(w *keyWorld) {
			w.now = w.now.Add(store.MaxKeySetAge + time.Second)
			w.held = w.now.Add(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := newKeyWorld(t)
			prepare(w)
			s.Refresher = refresherFunc(func(context.Context, string) error { return nil })
			_, _, err := s.findKeySet(t.Context(), "https://issuer.example.com", w.kid, issuertest.ES256)
			if err == nil || asRefusal(err).Problem.Code != api.CodeIssuerKeysUnavailable {
				t.Errorf("got %v", err)
			}
		})
	}
}
