package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

func (s suite) testLeases(t *testing.T) {
	at := func(ms int) time.Time { return s.base.Add(time.Duration(ms) * time.Millisecond) }
	lease := func(t *testing.T, st Store, name string, now, until int, want bool) {
		t.Helper()
		got, err := st.Lease(ctx(t), name, at(now), at(until))
		check(t, "taking the lease", err)
		if got != want {
			t.Errorf("the lease of %s at %d ms: %t, want %t", name, now, got, want)
		}
	}
	t.Run("one holder until it ends", func(t *testing.T) {
		a, b := s.pair(t)
		lease(t, a, "issuer", 0, 1500, true)
		lease(t, b, "issuer", 0, 1500, false)
		lease(t, a, "issuer", 0, 1500, false) // its holder has no more right than others
		lease(t, b, "issuer", 1000, 60_000, false)
		lease(t, b, "issuer", 1499, 60_000, false) // and what was refused did not make it longer
		lease(t, b, "issuer", 1500, 3000, true)    // it ends at until
		lease(t, a, "issuer", 2999, 4000, false)
		lease(t, a, "issuer", 90_000, 91_000, true)
	})
	t.Run("a clock that jumps a day ahead and back", func(t *testing.T) {
		a, b := s.pair(t)
		const minute, day = 60_000, 24 * 60 * 60_000
		lease(t, a, "issuer", day, day+minute, true)
		lease(t, b, "issuer", 0, minute, true) // nobody holds what a wrong clock took
		lease(t, a, "issuer", 1, minute+1, false)
	})
	t.Run("a clock that is a little ahead", func(t *testing.T) {
		a, b := s.pair(t)
		const minute = 60_000
		skew := int(store.MaxClockSkew / time.Millisecond)
		lease(t, a, "issuer", skew, skew+minute, true)
		lease(t, b, "issuer", 0, minute, false)
		lease(t, a, "other", skew+1, skew+1+minute, true)
		lease(t, b, "other", 0, minute, true)
	})
	t.Run("names are apart", func(t *testing.T) {
		a, b := s.pair(t)
		lease(t, a, bitbucketAcme, 0, 1000, true)
		lease(t, b, bitbucketAcme+"/", 0, 1000, true)
		lease(t, b, bitbucketAcme, 0, 1000, false)
	})
	t.Run("one of many at once", func(t *testing.T) {
		a, b := s.pair(t)
		for round := range 3 {
			var holders atomic.Int32
			all(60, a, b, func(_ int, st Store) {
				got, err := st.Lease(ctx(t), "issuer", at(round*1000), at((round+1)*1000))
				if err != nil {
					t.Errorf("taking the lease: %v", err)
				}
				if got {
					holders.Add(1)
				}
			})
			if holders.Load() != 1 {
				t.Errorf("round %d has %d holders, want 1", round, holders.Load())
			}
		}
	})
}
