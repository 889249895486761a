package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// keySet is a key set of circleIssuer that was fetched so many minutes after base.
func (s suite) keySet(minute int) store.KeySet {
	at := s.base.Add(time.Duration(minute) * time.Minute)
	return store.KeySet{
		Issuer: circleIssuer, JWKS: fmt.Appendf(nil, `{"keys": [{"kid":"%d"}]}`, minute), FetchedAt: at, TriedAt: at,
	}
}

// seconds is a key set that was fetched so many seconds after base.
func (s suite) seconds(n int) store.KeySet {
	ks := s.keySet(0)
	ks.JWKS = fmt.Appendf(nil, `{"keys": [{"kid":"%d s"}]}`, n)
	ks.FetchedAt = ks.FetchedAt.Add(time.Duration(n) * time.Second)
	ks.TriedAt = ks.FetchedAt
	return ks
}

func (s suite) pinnedSet(minute int) store.KeySet {
	ks := s.keySet(minute)
	ks.Pinned = true
	return ks
}

// keySetIs tests what is stored for want's issuer.
func keySetIs(t *testing.T, s Store, want store.KeySet) {
	t.Helper()
	got, err := s.KeySet(ctx(t), want.Issuer)
	check(t, "reading the key set", err)
	sameKeySet(t, got, want)
}

func sameKeySet(t *testing.T, got, want store.KeySet) {
	t.Helper()
	if got.Issuer != want.Issuer || !bytes.Equal(got.JWKS, want.JWKS) || got.Pinned != want.Pinned || got.Failure != want.Failure {
		t.Errorf("the key set is %+v, want %+v", got, want)
	}
	for _, at := range []struct {
		what      string
		got, want time.Time
	}{{"FetchedAt", got.FetchedAt, want.FetchedAt}, {"TriedAt", got.TriedAt, want.TriedAt}} {
		if at.want.IsZero() != at.got.IsZero() {
			t.Errorf("%s is %s, want %s", at.what, at.got, at.want)
		} else if !at.want.IsZero() {
			utc(t, at.what, at.got, at.want)
		}
	}
}

func (s suite) testKeySets(t *testing.T) {
	t.Run("nothing is there at first", func(t *testing.T) {
		a := s.open(t)
		if _, err := a.KeySet(ctx(t), circleIssuer); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("KeySet: %v, want store.ErrNotFound", err)
		}
		if sets, err := a.KeySets(ctx(t)); err != nil || len(sets) != 0 {
			t.Errorf("KeySets: %d, %v; want none", len(sets), err)
		}
		if err := a.Unpin(ctx(t), circleIssuer); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Unpin: %v, want store.ErrNotFound", err)
		}
		if _, err := a.KeySet(ctx(t), circleIssuer); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("KeySet after Unpin: %v, want store.ErrNotFound", err)
		}
	})
	t.Run("a set comes back equal", func(t *testing.T) {
		a, b := s.pair(t)
		ks := s.keySet(0)
		ks.JWKS = []byte(`{"keys": [ ], "größe 🚀" :"` + strings.Repeat("x", 100<<10) + "\"}\n")
		ks.FetchedAt = ks.FetchedAt.Add(123456789).In(time.FixedZone("", 3600))
		ks.TriedAt = ks.FetchedAt.Add(1)
		check(t, "storing", a.PutKeySet(ctx(t), ks))
		keySetIs(t, b, ks)
	})
	t.Run("a later fetch replaces, an earlier one does not", func(t *testing.T) {
		a, b := s.pair(t)
		for _, put := range []struct{ fetched, want int }{{10, 10}, {11, 11}, {9, 11}, {10, 11}, {11, 11}, {12, 12}} {
			if err := a.PutKeySet(ctx(t), s.seconds(put.fetched)); err != nil && !errors.Is(err, store.ErrFetchedLater) {
				t.Errorf("storing: %v", err)
			}
			keySetIs(t, b, s.seconds(put.want))
		}
	})
	t.Run("the store says that a later fetch was there", func(t *testing.T) {
		a, b := s.pair(t)
		check(t, "storing", a.PutKeySet(ctx(t), s.keySet(1)))
		earlier := s.keySet(1)
		earlier.FetchedAt = earlier.FetchedAt.Add(-1)
		if err := b.PutKeySet(ctx(t), earlier); !errors.Is(err, store.ErrFetchedLater) {
			t.Errorf("storing: %v, want store.ErrFetchedLater", err)
		}
		keySetIs(t, a, s.keySet(1))
	})
	t.Run("a clock that jumps a day ahead and back", func(t *testing.T) {
		a, b := s.pair(t)
		const day = 24 * 60
		check(t, "storing tomorrow", a.PutKeySet(ctx(t), s.keySet(day)))
		keySetIs(t, b, s.keySet(day))
		check(t, "storing today", b.PutKeySet(ctx(t), s.keySet(0)))
		keySetIs(t, a, s.keySet(0))

		check(t, "noting tomorrow", a.KeySetFailed(ctx(t), circleIssuer, s.base.Add(24*time.Hour), "of tomorrow"))
		want := s.keySet(0)
		want.TriedAt, want.Failure = s.base.Add(time.Minute), "of today"
		check(t, "noting today", b.KeySetFailed(ctx(t), circleIssuer, want.TriedAt, want.Failure))
		keySetIs(t, a, want)
	})
	t.Run("a clock that is a little ahead", func(t *testing.T) {
		for _, c := range []struct {
			ahead  time.Duration
			stands bool
		}{{store.MaxClockSkew, true}, {store.MaxClockSkew + 1, false}} {
			a := s.open(t)
			ahead, now := s.keySet(0), s.keySet(1)
			now.FetchedAt, now.TriedAt = s.base, s.base
			ahead.FetchedAt, ahead.TriedAt = s.base.Add(c.ahead), s.base.Add(c.ahead)
			check(t, "storing", a.PutKeySet(ctx(t), ahead))
			if err := a.PutKeySet(ctx(t), now); errors.Is(err, store.ErrFetchedLater) != c.stands {
				t.Errorf("%s ahead: %v", c.ahead, err)
			}
			want := now
			if c.stands {
				want = ahead
			}
			keySetIs(t, a, want)

			check(t, "noting", a.KeySetFailed(ctx(t), bitbucketAcme, s.base.Add(c.ahead), "ahead"))
			check(t, "noting", a.KeySetFailed(ctx(t), bitbucketAcme, s.base, "now"))
			got, err := a.KeySet(ctx(t), bitbucketAcme)
			check(t, "reading", err)
			if stands := got.Failure == "ahead"; stands != c.stands {
				t.Errorf("%s ahead: the failure is %q", c.ahead, got.Failure)
			}
		}
	})
	t.Run("a fetch of the same time replaces", func(t *testing.T) {
		a, b := s.pair(t)
		check(t, "storing", a.PutKeySet(ctx(t), s.keySet(1)))
		other := s.keySet(1)
		other.JWKS = []byte(`{"keys":[]}`)
		check(t, "storing", b.PutKeySet(ctx(t), other))
		keySetIs(t, a, other)
	})
	t.Run("a failed fetch leaves the keys, and a good one clears it", func(t *testing.T) {
		a, b := s.pair(t)
		want := s.keySet(0)
		check(t, "storing", a.PutKeySet(ctx(t), want))
		want.TriedAt, want.Failure = s.base.Add(time.Minute), "größe: connection refused"
		check(t, "noting", a.KeySetFailed(ctx(t), circleIssuer, want.TriedAt, want.Failure))
		keySetIs(t, b, want)
		want.TriedAt, want.Failure = s.base.Add(2*time.Minute), "timeout"
		check(t, "noting", b.KeySetFailed(ctx(t), circleIssuer, want.TriedAt, want.Failure))
		keySetIs(t, a, want)
		good := s.keySet(3)
		good.Failure = "a good set has none"
		check(t, "storing", a.PutKeySet(ctx(t), good))
		keySetIs(t, b, s.keySet(3))
	})
	t.Run("a failure that comes late tells nothing", func(t *testing.T) {
		a := s.open(t)
		check(t, "storing", a.PutKeySet(ctx(t), s.keySet(5)))
		check(t, "noting", a.KeySetFailed(ctx(t), circleIssuer, s.base.Add(5*time.Minute-time.Second), "timeout"))
		keySetIs(t, a, s.keySet(5))
	})
	t.Run("a failure of an issuer without keys", func(t *testing.T) {
		a, b := s.pair(t)
		check(t, "noting", a.KeySetFailed(ctx(t), circleIssuer, s.base, "no such host"))
		keySetIs(t, b, store.KeySet{Issuer: circleIssuer, TriedAt: s.base, Failure: "no such host"})
		check(t, "storing", b.PutKeySet(ctx(t), s.keySet(1)))
		keySetIs(t, a, s.keySet(1))
	})
	t.Run("all sets by issuer", func(t *testing.T) {
		a, b := s.pair(t)
		want := []string{bitbucketAcme, bitbucketZenith, circleIssuer}
		for _, issuer := range []string{circleIssuer, bitbucketAcme} {
			ks := s.keySet(0)
			ks.Issuer = issuer
			check(t, "storing", a.PutKeySet(ctx(t), ks))
		}
		check(t, "noting", a.KeySetFailed(ctx(t), bitbucketZenith, s.base, "no such host"))
		sets, err := b.KeySets(ctx(t))
		check(t, "reading", err)
		var got []string
		for _, ks := range sets {
			got = append(got, ks.Issuer)
			keySetIs(t, a, ks)
		}
		if !slices.Equal(got, want) {
			t.Errorf("issuers are %q, want %q", got, want)
		}
	})
	t.Run("of fetches at once the latest stands", func(t *testing.T) {
		a, b := s.pair(t)
		all(40, a, b, func(i int, st Store) {
			if err := st.PutKeySet(ctx(t), s.seconds(i)); err != nil && !errors.Is(err, store.ErrFetchedLater) {
				t.Errorf("storing: %v", err)
			}
		})
		keySetIs(t, a, s.seconds(39))
	})
}

func (s suite) testPinnedKeySets(t *testing.T) {
	t.Run("a pinned set replaces whatever is stored", func(t *testing.T) {
		for name, before := range map[string]store.KeySet{
			"a later fetch": s.keySet(9), "a later pinned set": s.pinnedSet(9), "an earlier fetch": s.keySet(1),
		} {
			t.Run(name, func(t *testing.T) {
				a, b := s.pair(t)
				check(t, "storing", a.PutKeySet(ctx(t), before))
				check(t, "pinning", b.PutKeySet(ctx(t), s.pinnedSet(5)))
				keySetIs(t, a, s.pinnedSet(5))
			})
		}
		t.Run("a failure", func(t *testing.T) {
			a, b := s.pair(t)
			check(t, "noting", a.KeySetFailed(ctx(t), circleIssuer, s.base, "no such host"))
			check(t, "pinning", a.PutKeySet(ctx(t), s.pinnedSet(5)))
			keySetIs(t, b, s.pinnedSet(5))
		})
	})
	t.Run("it is not fetched over until it is unpinned", func(t *testing.T) {
		a, b := s.pair(t)
		check(t, "pinning", a.PutKeySet(ctx(t), s.pinnedSet(5)))
		for _, minute := range []int{4, 5, 6} {
			if err := b.PutKeySet(ctx(t), s.keySet(minute)); !errors.Is(err, store.ErrPinned) {
				t.Errorf("storing a fetched set: %v, want store.ErrPinned", err)
			}
		}
		keySetIs(t, b, s.pinnedSet(5))
		check(t, "unpinning", b.Unpin(ctx(t), circleIssuer))
		keySetIs(t, a, s.keySet(5)) // the same keys
		check(t, "unpinning again", a.Unpin(ctx(t), circleIssuer))
		keySetIs(t, b, s.keySet(5))
		if err := a.PutKeySet(ctx(t), s.keySet(4)); !errors.Is(err, store.ErrFetchedLater) {
			t.Errorf("storing an earlier fetch: %v, want store.ErrFetchedLater", err)
		}
		keySetIs(t, b, s.keySet(5))
		check(t, "storing", a.PutKeySet(ctx(t), s.keySet(6)))
		keySetIs(t, b, s.keySet(6))
	})
	t.Run("it stands against fetches at the same time", func(t *testing.T) {
		a, b := s.pair(t)
		check(t, "storing", a.PutKeySet(ctx(t), s.keySet(0)))
		all(40, a, b, func(i int, st Store) {
			ks := s.seconds(i)
			if i == 20 {
				ks = s.pinnedSet(20)
			}
			if err := st.PutKeySet(ctx(t), ks); err != nil && !errors.Is(err, store.ErrPinned) && !errors.Is(err, store.ErrFetchedLater) {
				t.Errorf("storing: %v", err)
			}
		})
		keySetIs(t, b, s.pinnedSet(20))
	})
}
