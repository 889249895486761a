package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (s suite) testResources(t *testing.T) {
	t.Run("nothing is there at first", func(t *testing.T) {
		a := s.open(t)
		for _, kind := range kinds() {
			if _, err := a.Get(ctx(t), kind, "example"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get of a %s that does not exist: %v, want store.ErrNotFound", kind, err)
			}
			if stored, err := a.List(ctx(t), kind); err != nil || len(stored) != 0 {
				t.Errorf("List of kind %s: %d resources, %v; want none", kind, len(stored), err)
			}
		}
	})
	t.Run("several of a kind", func(t *testing.T) {
		a, b := s.pair(t)
		put(t, a, s.base, bot(t, "a"), bot(t, "b"), bot(t, "c"), role(t, "d"))
		for _, c := range []struct{ names, want []string }{
			{nil, nil},
			{[]string{"missing", "d", ""}, nil}, // d is a role
			{[]string{"c", "a", "missing", "c"}, []string{"c", "a"}},
		} {
			stored, err := b.GetEach(ctx(t), rules.KindBot, c.names)
			check(t, "reading bots", err)
			if got := names(stored); !slices.Equal(got, c.want) {
				t.Errorf("GetEach of the bots %q: got %q, want %q", c.names, got, c.want)
			}
			for _, one := range stored {
				if one.Revision != get(t, a, rules.KindBot, one.Resource.Name()).Revision {
					t.Errorf("%s has another revision than Get says", one.Resource.Name())
				}
			}
		}
	})
	t.Run("every kind comes back equal", func(t *testing.T) {
		a, b := s.pair(t)
		at := s.base.Add(123456789 * time.Nanosecond).In(time.FixedZone("", 7200))
		samples := append(unusual(t), bot(t, "example", "deployer"), role(t, "deployer"), lock(t, "stop-example"),
			bitbucketToken(t, "bitbucket", bitbucketAcme), circleToken(t, "circle", ""))
		put(t, a, at, samples...)
		for _, want := range samples {
			what := fmt.Sprintf("%s/%s", want.Kind(), want.Name())
			got := get(t, b, want.Kind(), want.Name())
			sameResource(t, what, got.Resource, want)
			utc(t, "UpdatedAt of "+what, got.UpdatedAt, at)
			if got.Revision == "" {
				t.Errorf("%s has no revision", what)
			}
		}
	})
	t.Run("what was written by hand is known until it is written from files", func(t *testing.T) {
		a, b := s.pair(t)
		put(t, a, s.base, bot(t, "example"))
		revision := get(t, b, rules.KindBot, "example").Revision
		for i, edited := range []bool{true, true, false, true} {
			check(t, "writing", a.Write(ctx(t), []store.Change{{Kind: rules.KindBot, Name: "example",
				Resource: bot(t, "example", fmt.Sprintf("role-%d", i)), Revision: revision, At: s.base, Edited: edited}}))
			for how, got := range map[string]store.Stored{
				"alone": get(t, b, rules.KindBot, "example"), "from memory": get(t, b, rules.KindBot, "example"), "listed": listed(t, b, rules.KindBot),
			} {
				if got.Edited != edited {
					t.Errorf("write %d, read %s: Edited is %t, want %t", i, how, got.Edited, edited)
				}
				sameResource(t, "bot/example", got.Resource, bot(t, "example", fmt.Sprintf("role-%d", i)))
				revision = got.Revision
			}
		}
		replace(t, a, rules.KindBot, "example", nil, s.base)
		put(t, a, s.base, bot(t, "example"))
		if get(t, b, rules.KindBot, "example").Edited {
			t.Error("one that was removed and created again is still said to be edited")
		}
	})
	t.Run("a name is of its kind", func(t *testing.T) {
		a := s.open(t)
		put(t, a, s.base, bot(t, "same"), role(t, "same"))
		sameResource(t, "bot/same", get(t, a, rules.KindBot, "same").Resource, bot(t, "same"))
		sameResource(t, "role/same", get(t, a, rules.KindRole, "same").Resource, role(t, "same"))
		if _, err := a.Get(ctx(t), rules.KindLock, "same"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a lock of the name of a bot: %v, want store.ErrNotFound", err)
		}
	})
	t.Run("a list is complete, of one kind and by name", func(t *testing.T) {
		a, b := s.pair(t)
		var want []string
		for i := range 250 { // more than one page, wherever there are pages
			want = append(want, fmt.Sprintf("bot-%d", i))
		}
		at := s.base
		for chunk := range slices.Chunk(want, store.MaxChanges) {
			var bots []rules.Resource
			for _, name := range chunk {
				bots = append(bots, bot(t, name))
			}
			at = at.Add(-time.Minute) // so that neither time nor order of writing is by name
			put(t, a, at, bots...)
		}
		put(t, a, s.base, role(t, "bot-0"), lock(t, "bot-1"))
		slices.Sort(want)
		stored, err := b.List(ctx(t), rules.KindBot)
		check(t, "listing", err)
		if got := names(stored); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, one := range stored {
			alone := get(t, a, rules.KindBot, one.Resource.Name())
			if one.Revision != alone.Revision {
				t.Fatalf("%s has another revision in the list than by itself", one.Resource.Name())
			}
			utc(t, "UpdatedAt in a list", one.UpdatedAt, alone.UpdatedAt)
		}
	})
	t.Run("a change is seen by the next read of every instance", func(t *testing.T) {
		a, b := s.pair(t)
		put(t, a, s.base, bot(t, "example"))
		for i := range 20 {
			want := bot(t, "example", fmt.Sprintf("role-%d", i))
			replace(t, a, rules.KindBot, "example", want, s.base.Add(time.Duration(i)*time.Second))
			for _, handle := range []Store{b, a} {
				got, err := store.Bot(ctx(t), handle, "example")
				check(t, "reading the bot", err)
				sameResource(t, "bot/example", got, want)
			}
		}
	})
}

// listed returns the only resource of a kind.
func listed(t *testing.T, s Store, kind rules.Kind) store.Stored {
	t.Helper()
	stored, err := s.List(ctx(t), kind)
	check(t, "listing", err)
	if len(stored) != 1 {
		t.Fatalf("%d resources of kind %s, want 1", len(stored), kind)
	}
	return stored[0]
}

func kinds() []rules.Kind {
	return []rules.Kind{rules.KindBot, rules.KindToken, rules.KindRole, rules.KindLock}
}

func names(stored []store.Stored) []string {
	all := make([]string, len(stored))
	for i, one := range stored {
		all[i] = one.Resource.Name()
	}
	return all
}
