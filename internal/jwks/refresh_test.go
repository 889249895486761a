package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// liveIssuer is an issuer whose keys change between fetches.
type liveIssuer struct {
	*testServer
	mu   sync.Mutex
	keys string
	hits atomic.Int32
}

func newIssuer(t *testing.T, keys string) *liveIssuer {
	i := &liveIssuer{keys: keys}
	i.testServer = newServer(t, issuerHandler(func() string {
		i.hits.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.keys
	}))
	return i
}

func (i *liveIssuer) publish(keys string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// refreshOne refreshes the one issuer of the store.
func refreshOne(t *testing.T, r *Refresher) Result {
	t.Helper()
	results, err := r.RefreshAll(t.Context())
	if err != nil || len(results) != 1 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	return results[0]
}

func TestRefreshStory(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	s := newStore(issuer.URL)
	now := testNow
	r := New(Config{Store: s, HTTP: issuer.client(t), Now: func() time.Time { return now }})

	res := refreshOne(t, r)
	first := s.get(issuer.URL)
	if res.Err != nil || res.Keys != 1 || !slices.Equal(res.Added, []string{"a"}) || res.Removed != nil {
		t.Errorf("first fetch: %+v", res)
	}
	if len(first.JWKS) == 0 || !first.FetchedAt.Equal(now) || !first.TriedAt.Equal(now) || first.Failure != "" || first.Pinned {
		t.Errorf("stored %+v", first)
	}

	now = now.Add(time.Minute)
	if res := refreshOne(t, r); res.Err != nil || res.Keys != 1 || res.Added != nil || res.Removed != nil {
		t.Errorf("the same again: %+v", res)
	}
	if got := s.get(issuer.URL).FetchedAt; !got.Equal(now) {
		t.Errorf("fetched at %s", got)
	}

	now = now.Add(time.Minute)
	issuer.publish(keySet(rsaJWK(`,"kid":"b"`), ecJWK(`,"kid":"c"`), rsaJWK(`,"kid":"x","use":"enc"`)))
	res = refreshOne(t, r)
	if res.Err != nil || res.Keys != 2 || !slices.Equal(res.Added, []string{"b", "c"}) || !slices.Equal(res.Removed, []string{"a"}) || len(res.Dropped) != 1 {
		t.Errorf("rotated: %+v", res)
	}

	good := s.get(issuer.URL)
	for name, bad := range map[string]string{
		"empty set": `{"keys":[]}`, "nothing": "", "HTML": "<html>", "none to use": keySet(rsaJWK(`,"kid":"b","use":"enc"`)),
		"same kid twice": keySet(rsaJWK(`,"kid":"b"`), rsaJWK(`,"kid":"b"`)), "private key": keySet(ecJWK(`,"kid":"c","d":"AQ"`)),
	} {
		now = now.Add(time.Minute)
		issuer.publish(bad)
		res := refreshOne(t, r)
		var fetchErr *FetchError
		if !errors.As(res.Err, &fetchErr) || res.Keys != 2 || res.Added != nil || res.Removed != nil {
			t.Errorf("%s: %+v", name, res)
			continue
		}
		got := s.get(issuer.URL)
		if string(got.JWKS) != string(good.JWKS) || !got.FetchedAt.Equal(good.FetchedAt) {
			t.Errorf("%s: replaced the good set by %+v", name, got)
		}
		if !got.TriedAt.Equal(now) || got.Failure != fetchErr.Reason || got.Failure == "" {
			t.Errorf("%s: noted %q at %s, want %q", name, got.Failure, got.TriedAt, fetchErr.Reason)
		}
	}

	now = now.Add(time.Minute)
	issuer.publish(keySet(fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","kid":"b"}`, modulus(2048)), ecJWK(`,"kid":"c"`)))
	res = refreshOne(t, r)
	if res.Err != nil || !slices.Equal(res.Added, []string{"b"}) || !slices.Equal(res.Removed, []string{"b"}) {
		t.Errorf("key exchanged under its kid: %+v", res)
	}
	if got := s.get(issuer.URL); got.Failure != "" || !got.FetchedAt.Equal(now) {
		t.Errorf("after the failures: %+v", got)
	}
}

func TestRefreshIssuerDown(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	s := newStore(issuer.URL)
	r := New(Config{Store: s, HTTP: issuer.client(t), Now: func() time.Time { return testNow }})
	issuer.CloseClientConnections()
	issuer.Close()
	err := r.Refresh(t.Context(), issuer.URL)
	if !errors.As(err, new(*FetchError)) {
		t.Fatalf("got %v", err)
	}
	ks := s.get(issuer.URL)
	if len(ks.JWKS) != 0 || !ks.FetchedAt.IsZero() || !ks.TriedAt.Equal(testNow) || !strings.Contains(ks.Failure, "refused") || !ks.Stale(testNow) {
		t.Errorf("stored %+v", ks)
	}
}

func TestRefreshPinned(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	s := newStore(issuer.URL)
	if _, _, err := Import(t.Context(), s, issuer.URL, []byte(keySet(ecJWK(`,"kid":"p"`))), testNow); err != nil {
		t.Fatal(err)
	}
	before := s.get(issuer.URL)
	r := New(Config{Store: s, HTTP: issuer.client(t)})
	if err := r.Refresh(t.Context(), issuer.URL); !errors.Is(err, store.ErrPinned) {
		t.Errorf("Refresh: got %v", err)
	}
	if res := refreshOne(t, r); res.Err != nil || !res.Pinned || res.Keys != 1 {
		t.Errorf("RefreshAll: %+v", res)
	}
	if issuer.opened.Load() != 0 {
		t.Error("the issuer was dialed")
	}
	if after := s.get(issuer.URL); string(after.JWKS) != string(before.JWKS) || after.Failure != "" || !after.TriedAt.Equal(before.TriedAt) {
		t.Errorf("changed to %+v", after)
	}
}

func TestRefreshPinnedMeanwhile(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	s := newStore(issuer.URL)
	s.pinNow = true
	r := New(Config{Store: s, HTTP: issuer.client(t)})
	if err := r.Refresh(t.Context(), issuer.URL); !errors.Is(err, store.ErrPinned) {
		t.Errorf("got %v", err)
	}
	if ks := s.get(issuer.URL); ks.Failure != "" {
		t.Errorf("noted as failure: %+v", ks)
	}
	if res := refreshOne(t, r); res.Err != nil || !res.Pinned {
		t.Errorf("RefreshAll: %+v", res)
	}
}

func TestRefreshStoreDown(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	errDown := errors.New("store is down")

	s := newStore(issuer.URL)
	s.err = errDown
	r := New(Config{Store: s, HTTP: issuer.client(t)})
	if err := r.Refresh(t.Context(), issuer.URL); !errors.Is(err, errDown) || errors.As(err, new(*FetchError)) {
		t.Errorf("Refresh: got %v", err)
	}
	if _, err := r.RefreshAll(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("RefreshAll: got %v", err)
	}
	if _, _, err := Import(t.Context(), s, issuer.URL, []byte(keySet(ecJWK(`,"kid":"p"`))), testNow); !errors.Is(err, errDown) {
		t.Errorf("Import: got %v", err)
	}

	s = newStore(issuer.URL)
	s.failErr = errDown
	issuer.publish("")
	r = New(Config{Store: s, HTTP: issuer.client(t)})
	if err := r.Refresh(t.Context(), issuer.URL); !errors.Is(err, errDown) || !errors.As(err, new(*FetchError)) {
		t.Errorf("failure not noted: got %v", err)
	}
}

// Of two fetches at once the one that began later has the newer answer. The other, which
// got the older answer and is slower, does not bring a withdrawn key back, and says so.
func TestOfTwoFetchesTheLaterOneWins(t *testing.T) {
	var hold atomic.Pointer[chan struct{}]
	asked := make(chan struct{}, 1)
	issuer := &liveIssuer{keys: keySet(rsaJWK(`,"kid":"withdrawn"`))}
	issuer.testServer = newServer(t, issuerHandler(func() string {
		issuer.mu.Lock()
		answer := issuer.keys
		issuer.mu.Unlock()
		if held := hold.Swap(nil); held != nil { // this one answers late, with what it knew before
			asked <- struct{}{}
			<-*held
		}
		return answer
	}))
	s := newStore(issuer.URL)
	var ticks atomic.Int64
	r := New(Config{Store: s, HTTP: issuer.client(t), Now: func() time.Time { return testNow.Add(time.Duration(ticks.Add(1)) * time.Second) }})

	release := make(chan struct{})
	hold.Store(&release)
	slow := make(chan Result)
	go func() { slow <- r.RefreshOne(t.Context(), issuer.URL) }()
	<-asked
	issuer.publish(keySet(rsaJWK(`,"kid":"new"`)))
	if res := r.RefreshOne(t.Context(), issuer.URL); res.Err != nil || res.Overtaken || !slices.Equal(res.Added, []string{"new"}) {
		t.Errorf("the later fetch: %+v", res)
	}
	want := s.get(issuer.URL)
	close(release)
	if res := <-slow; res.Err != nil || !res.Overtaken || res.Keys != 1 || !slices.Equal(res.Added, []string{"new"}) {
		t.Errorf("the earlier fetch: %+v", res)
	}
	if got := s.get(issuer.URL); string(got.JWKS) != string(want.JWKS) || !got.FetchedAt.Equal(want.FetchedAt) {
		t.Errorf("stored %s of %s, want %s of %s", got.JWKS, got.FetchedAt, want.JWKS, want.FetchedAt)
	}
}

// A clock that jumps a day ahead and back does not freeze a key set: the next refresh
// stores what it fetched, and says so.
func TestAClockThatJumpsDoesNotFreezeAKeySet(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"withdrawn"`)))
	s := newStore(issuer.URL)
	now := testNow.Add(24 * time.Hour)
	r := New(Config{Store: s, HTTP: issuer.client(t), Now: func() time.Time { return now }})
	if res := refreshOne(t, r); res.Err != nil {
		t.Fatal(res.Err)
	}
	now = testNow
	if !s.get(issuer.URL).Stale(now) {
		t.Error("a set of tomorrow is used")
	}
	issuer.publish(keySet(rsaJWK(`,"kid":"new"`)))
	res := refreshOne(t, r)
	if res.Err != nil || res.Overtaken || !slices.Equal(res.Added, []string{"new"}) || !slices.Equal(res.Removed, []string{"withdrawn"}) {
		t.Errorf("refreshed: %+v", res)
	}
	if got := s.get(issuer.URL); !got.FetchedAt.Equal(now) || !strings.Contains(string(got.JWKS), "new") || got.Stale(now) {
		t.Errorf("stored %s of %s", got.JWKS, got.FetchedAt)
	}
}

// What is fetched while the clock jumps, or the machine sleeps, is not stored: nobody
// knows how old it is.
func TestAClockThatJumpsDuringAFetch(t *testing.T) {
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour, store.MaxClockSkew + time.Second, -store.MaxClockSkew - time.Second} {
		var now atomic.Pointer[time.Time]
		issuer := &liveIssuer{}
		issuer.testServer = newServer(t, issuerHandler(func() string {
			jumped := testNow.Add(jump)
			now.Store(&jumped)
			return keySet(rsaJWK(`,"kid":"a"`))
		}))
		now.Store(&testNow)
		s := newStore(issuer.URL)
		r := New(Config{Store: s, HTTP: issuer.client(t), Now: func() time.Time { return *now.Load() }})
		res := r.RefreshOne(t.Context(), issuer.URL)
		if !errors.As(res.Err, new(*FetchError)) || !strings.Contains(res.Err.Error(), "clock") {
			t.Errorf("%s: %+v", jump, res)
		}
		if got := s.get(issuer.URL); len(got.JWKS) > 0 {
			t.Errorf("%s: stored %+v", jump, got)
		}
	}
}

// A caller who gives up does not make the issuer look broken.
func TestRefreshGivenUp(t *testing.T) {
	s := newServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hang(r) }))
	st := newStore(s.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := New(Config{Store: st, HTTP: s.client(t)}).Refresh(ctx, s.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if ks := st.get(s.URL); ks.Failure != "" {
		t.Errorf("noted %q", ks.Failure)
	}
}

// A stored set that cannot be read does not stop the next one.
func TestRefreshOverGarbage(t *testing.T) {
	issuer := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	s := newStore(issuer.URL)
	s.sets[issuer.URL] = store.KeySet{Issuer: issuer.URL, JWKS: []byte("garbage"), FetchedAt: testNow.Add(-time.Hour)}
	r := New(Config{Store: s, HTTP: issuer.client(t), Now: func() time.Time { return testNow }})
	if res := refreshOne(t, r); res.Err != nil || res.Keys != 1 || !slices.Equal(res.Added, []string{"a"}) {
		t.Errorf("%+v", res)
	}
}

func TestRefreshAllSlowIssuersDoNotHoldUpOthers(t *testing.T) {
	release := make(chan struct{})
	slow := newServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	good := newIssuer(t, keySet(rsaJWK(`,"kid":"a"`)))
	roots := slow.roots()
	roots.AddCert(good.Certificate())
	client, err := NewHTTPClient(ClientConfig{PrivateIssuers: []string{slow.hostPort(), good.hostPort()}, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(slow.URL, good.URL, good.URL, "http://bad.example.com")
	done := make(chan []Result)
	go func() {
		results, err := New(Config{Store: s, HTTP: client, Concurrency: 2}).RefreshAll(t.Context())
		if err != nil {
			t.Error(err)
		}
		done <- results
	}()
	for end := time.Now().Add(5 * time.Second); len(s.get(good.URL).JWKS) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the good issuer waits for the slow one")
		}
	}
	select {
	case <-done:
		t.Fatal("the slow issuer was not waited for")
	default:
	}
	close(release)
	results := <-done
	if len(results) != 3 || !slices.IsSortedFunc(results, func(a, b Result) int { return strings.Compare(a.Issuer, b.Issuer) }) {
		t.Fatalf("got %+v", results)
	}
	for _, res := range results {
		if (res.Err == nil) != (res.Issuer == good.URL) {
			t.Errorf("%s: %v", res.Issuer, res.Err)
		}
	}
	if f := s.get("http://bad.example.com").Failure; !strings.Contains(f, "must begin with https://") {
		t.Errorf("bad issuer: noted %q", f)
	}
}

func TestRefreshAllIsBounded(t *testing.T) {
	var now, most atomic.Int32
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		return nil, errors.New("down")
	})}
	var issuers []string
	for i := range 40 {
		issuers = append(issuers, fmt.Sprintf("https://%d.example.com", i))
	}
	if _, err := New(Config{Store: newStore(issuers...), HTTP: client, Concurrency: 3}).RefreshAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := most.Load(); m != 3 {
		t.Errorf("%d issuers asked at a time, want 3", m)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration // of each fetch of the discovery document
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := keySet(ecJWK(`,"kid":"e"`))
			if strings.HasSuffix(r.URL.Path, discoveryPath) {
				at = append(at, time.Since(start))
				body = `{"issuer":"https://ci.example.com","jwks_uri":"https://ci.example.com/keys"}`
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}
		var drawn time.Duration
		jitter := func(max time.Duration) time.Duration { drawn = max; return max / 4 }
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		s := newStore("https://ci.example.com")
		go func() {
			New(Config{Store: s, HTTP: client, Jitter: jitter}).Run(ctx, 20*time.Minute)
			close(stopped)
		}()
		synctest.Wait()
		if len(s.get("https://ci.example.com").JWKS) == 0 {
			t.Error("nothing was fetched at once")
		}
		time.Sleep(40 * time.Minute)
		cancel()
		<-stopped
		if want := []time.Duration{0, 19 * time.Minute, 38 * time.Minute}; !slices.Equal(at, want) || drawn != 4*time.Minute {
			t.Errorf("fetched at %v, want %v; jitter drawn up to %s", at, want, drawn)
		}
	})
}

func TestRunDefaultJitter(t *testing.T) {
	r := New(Config{Store: newStore()})
	for range 1000 {
		if j := r.c.Jitter(time.Second); j < 0 || j > time.Second {
			t.Fatalf("drew %s", j)
		}
	}
}

func TestRunSurvivesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.err = errors.New("store is down")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		New(Config{Store: s}).Run(ctx, time.Minute)
		if got := time.Since(start); got != time.Hour {
			t.Errorf("returned after %s", got)
		}
	})
}
