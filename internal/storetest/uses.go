package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// hash makes an ID token's or a request's digest of a label.
func hash(label string) string {
	sum := sha256.Sum256([]byte(label))
	return hex.EncodeToString(sum[:])
}

// use is a use of the ID token "token" that is allowed max uses.
func (s suite) use(digest string, max int) store.Use {
	return store.Use{
		IDToken: hash("token"), Digest: hash(digest), MaxJoins: max, MaxAnswers: 1000,
		NotAfter: s.base.Add(15 * time.Minute), KeepUntil: s.base.Add(2 * time.Hour),
		Record: s.record(0), RecordUntil: s.keep(),
	}
}

// mustUse makes a use that must succeed, and must end at want.
func mustUse(t *testing.T, s Store, u store.Use, want time.Time) {
	t.Helper()
	got, err := s.Use(ctx(t), u)
	check(t, "using the ID token", err)
	utc(t, "NotAfter", got.NotAfter, want)
}

func mustBeUsed(t *testing.T, s Store, u store.Use) {
	t.Helper()
	if got, err := s.Use(ctx(t), u); !errors.Is(err, store.ErrUsed) {
		t.Fatalf("got %v, %v; want store.ErrUsed", got, err)
	}
}

// usesAre tests what is stored of uses, by the labels of digests.
func usesAre(t *testing.T, s Store, want map[string]time.Time) {
	t.Helper()
	got, err := s.Uses(ctx(t), hash("token"))
	check(t, "reading the uses", err)
	wanted := map[string]time.Time{}
	for label, at := range want {
		wanted[hash(label)] = at.UTC()
	}
	if !maps.EqualFunc(got, wanted, func(a store.Answer, at time.Time) bool { return a.NotAfter.Equal(at) }) {
		t.Errorf("the uses are %v, want %v", got, wanted)
	}
	for _, a := range got {
		utc(t, "a use", a.NotAfter, a.NotAfter)
	}
}

func sameAnswer(t *testing.T, got, want store.Answer) {
	t.Helper()
	if got.JoinID != want.JoinID || got.Answers != want.Answers || !got.NotAfter.Equal(want.NotAfter) {
		t.Errorf("the answer is %+v, want %+v", got, want)
	}
}

func (s suite) testUses(t *testing.T) {
	t.Run("uses are counted, and seen by every instance", func(t *testing.T) {
		a, b := s.pair(t)
		usesAre(t, a, nil)
		first, second, third := s.use("first", 2), s.use("second", 2), s.use("third", 2)
		second.NotAfter = second.NotAfter.Add(time.Second).In(time.FixedZone("", -3600))
		mustUse(t, a, first, first.NotAfter)
		usesAre(t, b, map[string]time.Time{"first": first.NotAfter})
		mustUse(t, b, second, second.NotAfter)
		mustBeUsed(t, a, third)
		mustBeUsed(t, b, third)
		usesAre(t, a, map[string]time.Time{"first": first.NotAfter, "second": second.NotAfter})
	})
	t.Run("a retry gets the first answer's end and uses nothing", func(t *testing.T) {
		a, b := s.pair(t)
		first := s.use("first", 3)
		mustUse(t, a, first, first.NotAfter)
		mustUse(t, a, s.use("second", 3), first.NotAfter)
		for _, later := range []time.Duration{time.Hour, -5 * time.Minute} {
			for _, max := range []int{3, 1, 0} { // the rule may have been narrowed meanwhile
				retry := s.use("first", max)
				retry.NotAfter, retry.KeepUntil = first.NotAfter.Add(later), first.KeepUntil.Add(later)
				mustUse(t, b, retry, first.NotAfter)
			}
		}
		usesAre(t, a, map[string]time.Time{"first": first.NotAfter, "second": first.NotAfter})
		mustUse(t, a, s.use("third", 3), first.NotAfter)
		mustBeUsed(t, a, s.use("fourth", 3))
	})
	t.Run("a retry gets the first answer's join id, and no more answers than it may have", func(t *testing.T) {
		a, b := s.pair(t)
		const most = 3
		answer := func(st Store, n int) (store.Answer, error) {
			u := s.use("first", 2)
			u.MaxAnswers, u.Record = most, s.record(n)
			return st.Use(ctx(t), u)
		}
		first := store.Answer{JoinID: s.record(1).JoinID, NotAfter: s.use("", 0).NotAfter.UTC()}
		for n := 1; n <= most; n++ {
			got, err := answer([]Store{a, b}[n%2], n)
			check(t, "using the ID token", err)
			first.Answers = n
			sameAnswer(t, got, first)
		}
		for n := most + 1; n < most+3; n++ {
			if got, err := answer([]Store{a, b}[n%2], n); !errors.Is(err, store.ErrAnswered) {
				t.Errorf("answer %d: %v, %v; want store.ErrAnswered", n, got, err)
			}
			if _, err := a.Join(ctx(t), s.record(n).JoinID); !errors.Is(err, store.ErrNotFound) && !s.opts.RecordsApart {
				t.Errorf("the record of answer %d: %v, want none", n, err)
			}
		}
		uses, err := b.Uses(ctx(t), hash("token"))
		check(t, "reading the uses", err)
		sameAnswer(t, uses[hash("first")], first)
		mustUse(t, a, s.use("second", 2), first.NotAfter) // it has answers of its own
		mustBeUsed(t, a, s.use("third", 2))
	})
	t.Run("the maximum is that of the call", func(t *testing.T) {
		a := s.open(t)
		mustBeUsed(t, a, s.use("first", 0))
		mustBeUsed(t, a, s.use("first", -1))
		usesAre(t, a, nil)
		for i := 1; i <= 3; i++ {
			mustUse(t, a, s.use(fmt.Sprint(i), 3), s.use("", 3).NotAfter)
		}
		mustBeUsed(t, a, s.use("4", 3))
		mustBeUsed(t, a, s.use("4", 1))
		mustUse(t, a, s.use("4", 4), s.use("", 4).NotAfter)
		mustBeUsed(t, a, s.use("5", 4))
	})
	t.Run("ID tokens are apart", func(t *testing.T) {
		a := s.open(t)
		mustUse(t, a, s.use("first", 1), s.use("", 1).NotAfter)
		other := s.use("first", 1)
		other.IDToken = hash("another token")
		other.NotAfter = other.NotAfter.Add(time.Minute)
		mustUse(t, a, other, other.NotAfter)
		usesAre(t, a, map[string]time.Time{"first": s.use("", 1).NotAfter})
	})
	t.Run("the last second that an ID token may name", func(t *testing.T) {
		a, b := s.pair(t)
		u := s.use("first", 1)
		u.NotAfter = time.Unix(253402300799, 0) // 9999-12-31T23:59:59Z
		u.KeepUntil = u.NotAfter.Add(2 * time.Hour)
		mustUse(t, a, u, u.NotAfter)
		mustUse(t, b, u, u.NotAfter)
		mustBeUsed(t, b, s.use("second", 1))
	})
}

// answers collects what concurrent calls of Use came to, by digest.
type answers struct {
	mu         sync.Mutex
	granted    map[string]map[store.Answer]int // how often each first answer was given, its count aside
	refused    map[string]int
	unexpected error
}

func (a *answers) note(digest string, first store.Answer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case errors.Is(err, store.ErrUsed) || errors.Is(err, store.ErrAnswered):
		a.refused[digest]++
	case err != nil:
		a.unexpected = err
	default:
		if a.granted[digest] == nil {
			a.granted[digest] = map[store.Answer]int{}
		}
		a.granted[digest][withoutCount(first)]++
	}
}

func withoutCount(a store.Answer) store.Answer {
	return store.Answer{JoinID: a.JoinID, NotAfter: a.NotAfter.UTC()}
}

// testConcurrentUses is the promise that the service stands on: of any number
// of concurrent joins, never more than max_joins win.
func (s suite) testConcurrentUses(t *testing.T) {
	const calls = 200
	for _, c := range []struct{ digests, max int }{
		{digests: 200, max: 1},
		{digests: 200, max: 2},
		{digests: 200, max: 7},
		{digests: 200, max: 100},
		{digests: 1, max: 1},
		{digests: 1, max: 100},
		{digests: 20, max: 7},
		{digests: 20, max: 20},
		{digests: 20, max: 100},
	} {
		t.Run(fmt.Sprintf("%d digests with max_joins %d", c.digests, c.max), func(t *testing.T) {
			a, b := s.pair(t)
			got := answers{granted: map[string]map[store.Answer]int{}, refused: map[string]int{}}
			all(calls, a, b, func(i int, st Store) {
				u := s.use(fmt.Sprint(i%c.digests), c.max)
				u.NotAfter = u.NotAfter.Add(time.Duration(i) * time.Second) // each call its own
				u.Record = s.record(i)
				first, err := st.Use(ctx(t), u)
				got.note(u.Digest, first, err)
			})
			check(t, "using the ID token", got.unexpected)
			if want := min(c.digests, c.max); len(got.granted) != want {
				t.Errorf("%d digests won, want %d", len(got.granted), want)
			}
			uses, err := b.Uses(ctx(t), hash("token"))
			check(t, "reading the uses", err)
			if len(uses) != len(got.granted) {
				t.Errorf("%d digests are stored, and %d won", len(uses), len(got.granted))
			}
			for digest, given := range got.granted {
				if first := withoutCount(uses[digest]); len(given) != 1 || given[first] == 0 {
					t.Errorf("one digest was answered %v, and %v is stored", given, first)
				}
				if n := got.refused[digest]; n > 0 {
					t.Errorf("a digest that won was refused %d times", n)
				}
			}
		})
	}
}

// testConcurrentAnswers is the promise that a request is answered a bounded number of
// times, by one set of serials, however many send it at once.
func (s suite) testConcurrentAnswers(t *testing.T) {
	const calls, most = 200, 16
	a, b := s.pair(t)
	got := answers{granted: map[string]map[store.Answer]int{}, refused: map[string]int{}}
	all(calls, a, b, func(i int, st Store) {
		u := s.use("first", 1)
		u.MaxAnswers, u.Record = most, s.record(i)
		first, err := st.Use(ctx(t), u)
		got.note(u.Digest, first, err)
	})
	check(t, "using the ID token", got.unexpected)
	uses, err := b.Uses(ctx(t), hash("token"))
	check(t, "reading the uses", err)
	first := uses[hash("first")]
	given := got.granted[hash("first")]
	if len(given) != 1 || given[withoutCount(first)] != most || first.Answers != most {
		t.Errorf("answered %v, and %+v is stored; want %d answers, all the same", given, first, most)
	}
	if n := got.refused[hash("first")]; n != calls-most {
		t.Errorf("%d calls were refused, want %d", n, calls-most)
	}
}
