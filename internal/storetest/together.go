package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// join is a use of an ID token of its own, by the join n minutes after base.
func (s suite) join(n, max int) store.Use {
	u := s.use(fmt.Sprint("digest ", n), max)
	u.IDToken = hash(fmt.Sprint("token ", n))
	u.Record = s.record(n)
	return u
}

// stored tells whether there is a use and whether there is its record.
func stored(t *testing.T, s Store, u store.Use) (used, recorded bool) {
	t.Helper()
	uses, err := s.Uses(ctx(t), u.IDToken)
	check(t, "reading the uses", err)
	_, used = uses[u.Digest]
	_, err = s.Join(ctx(t), u.Record.JoinID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("reading the record: %v", err)
	}
	return used, err == nil
}

func mustBeStored(t *testing.T, s Store, u store.Use, want bool) {
	t.Helper()
	if used, recorded := stored(t, s, u); used != want || recorded != want {
		t.Errorf("%s: used %t, recorded %t; want both %t", u.Record.JoinID, used, recorded, want)
	}
}

// testTogether is the promise that nothing is granted without its use and its record.
func (s suite) testTogether(t *testing.T) {
	t.Run("a use and its record", func(t *testing.T) {
		a, b := s.pair(t)
		u := s.join(0, 1)
		u.Record = s.full()
		mustUse(t, a, u, u.NotAfter)
		mustBeStored(t, b, u, true)
		got, err := b.Join(ctx(t), u.Record.JoinID)
		check(t, "reading the record", err)
		sameRecord(t, got, u.Record)
	})
	t.Run("a retry is recorded, and uses nothing", func(t *testing.T) {
		a, b := s.pair(t)
		u := s.join(0, 1)
		mustUse(t, a, u, u.NotAfter)
		u.Record = s.record(1)
		mustUse(t, b, u, u.NotAfter)
		mustBeStored(t, a, u, true)
		s.listed(t, a, store.Query{}, 1, 0)
	})
	t.Run("the record of a use comes in place of an earlier one", func(t *testing.T) {
		a, b := s.pair(t)
		u := s.join(0, 1)
		mustUse(t, a, u, u.NotAfter)
		u.Record.Detail = "signed again"
		mustUse(t, b, u, u.NotAfter)
		got, err := a.Join(ctx(t), u.Record.JoinID)
		check(t, "reading the record", err)
		sameRecord(t, got, u.Record)
	})
	t.Run("a record that cannot be stored uses nothing", func(t *testing.T) {
		a := s.open(t)
		u := s.join(0, 1)
		u.Record.Time = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
		if _, err := a.Use(ctx(t), u); err == nil || errors.Is(err, store.ErrUsed) {
			t.Errorf("got %v, want an error about the record", err)
		}
		mustBeStored(t, a, u, false)
	})
	t.Run("an ID token without a use left", func(t *testing.T) {
		a, b := s.pair(t)
		mustUse(t, a, s.join(0, 1), s.join(0, 1).NotAfter)
		late := s.join(0, 1)
		late.Digest, late.Record = hash("another"), s.record(1)
		mustBeUsed(t, b, late)
		used, recorded := stored(t, a, late)
		if used || recorded && !s.opts.RecordsApart {
			t.Errorf("used %t, recorded %t; want neither", used, recorded)
		}
		refusal := late.Record
		refusal.Code, refusal.Detail = "id_token_already_used", "it was used"
		check(t, "recording the refusal", b.Record(ctx(t), refusal, s.keep()))
		got, err := a.Join(ctx(t), refusal.JoinID)
		check(t, "reading the record", err)
		sameRecord(t, got, refusal)
	})
	t.Run("of many at once, those that fail fail alone", s.testFailAlone)
	t.Run("of many at once, some callers go away", s.testGoneWhileStored)
}

func (s suite) testFailAlone(t *testing.T) {
	a, b := s.pair(t)
	mustUse(t, a, s.join(-1, 1), s.join(-1, 1).NotAfter)
	all(100, a, b, func(i int, st Store) {
		u, fails := s.join(i, 1), true
		switch i % 10 {
		case 3: // what was used before the others began
			u.IDToken = hash("token -1")
		case 7:
			u.Record.Time = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
		default:
			fails = false
		}
		_, err := st.Use(ctx(t), u)
		if (err != nil) != fails || errors.Is(err, store.ErrUsed) != (i%10 == 3) {
			t.Errorf("%d: %v", i, err)
		}
	})
	for i := range 100 {
		if u := s.join(i, 1); i%10 == 3 || i%10 == 7 {
			if used, _ := stored(t, b, u); used {
				t.Errorf("%d failed and is used", i)
			}
		} else {
			mustBeStored(t, b, u, true)
		}
	}
}

// testGoneWhileStored has every third caller go away at any moment. The others are not
// touched by it, and who was told that both are stored finds both.
func (s suite) testGoneWhileStored(t *testing.T) {
	a, b := s.pair(t)
	var (
		mu      sync.Mutex
		granted []store.Use
	)
	all(90, a, b, func(i int, st Store) {
		u, c := s.join(i, 1), ctx(t)
		if i%3 == 0 {
			var cancel context.CancelFunc
			c, cancel = context.WithTimeout(c, time.Duration(i)*100*time.Microsecond)
			defer cancel()
		}
		_, err := st.Use(c, u)
		switch {
		case err == nil:
			mu.Lock()
			granted = append(granted, u)
			mu.Unlock()
		case i%3 != 0 || !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("%d: %v", i, err)
		}
	})
	if len(granted) < 60 {
		t.Errorf("%d are stored, want at least the 60 whose caller stayed", len(granted))
	}
	for _, u := range granted {
		mustBeStored(t, b, u, true)
	}
}
