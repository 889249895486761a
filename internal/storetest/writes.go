package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (s suite) testWrites(t *testing.T) {
	t.Run("a write is all or nothing", s.testAtomicWrite)
	t.Run("a change that is not as it must be is refused", s.testRefusedWrites)
	t.Run("as many bytes as are promised", func(t *testing.T) {
		a, b := s.pair(t)
		var large []rules.Resource
		for size := 0; ; {
			next := largeBot(t, fmt.Sprintf("large-%d", len(large)))
			encoded, err := rules.Encode(next)
			check(t, "encoding", err)
			if size += len(encoded); size > store.MaxBytes {
				break
			}
			large = append(large, next)
		}
		put(t, a, s.base, large...)
		stored, err := b.List(ctx(t), rules.KindBot)
		check(t, "listing", err)
		if len(stored) != len(large) {
			t.Fatalf("%d of %d are stored", len(stored), len(large))
		}
		for _, one := range stored {
			sameResource(t, one.Resource.Name(), one.Resource, largeBot(t, one.Resource.Name()))
		}
	})
	t.Run("a revision changes with every write", func(t *testing.T) {
		a, b := s.pair(t)
		seen := map[string]bool{}
		for i := range 5 {
			put(t, a, s.base, bot(t, "example")) // the same content at the same time
			for range 3 {
				seen[get(t, b, rules.KindBot, "example").Revision] = true
				replace(t, b, rules.KindBot, "example", bot(t, "example"), s.base)
			}
			seen[get(t, a, rules.KindBot, "example").Revision] = true
			replace(t, a, rules.KindBot, "example", nil, s.base)
			if want := (i + 1) * 4; len(seen) != want {
				t.Fatalf("%d revisions of %d writes", len(seen), want)
			}
		}
	})
	t.Run("of writers with the same revision one wins", func(t *testing.T) {
		a, b := s.pair(t)
		put(t, a, s.base, bot(t, "example"))
		revision := get(t, a, rules.KindBot, "example").Revision
		s.oneWins(t, a, b, func(i int) store.Change {
			return store.Change{Kind: rules.KindBot, Name: "example", Revision: revision, At: s.base,
				Resource: bot(t, "example", fmt.Sprintf("role-%d", i))}
		})
	})
	t.Run("of creators one wins", func(t *testing.T) {
		a, b := s.pair(t)
		s.oneWins(t, a, b, func(i int) store.Change {
			return store.Change{Kind: rules.KindBot, Name: "example", At: s.base,
				Resource: bot(t, "example", fmt.Sprintf("role-%d", i))}
		})
	})
}

// largeBot is nearly as large as a resource may be.
func largeBot(t *testing.T, name string) *rules.Bot {
	var traits []rules.Trait
	for trait := range 4 {
		var values []string
		for value := range 900 {
			values = append(values, fmt.Sprintf("%04d%s", value, strings.Repeat("x", 60)))
		}
		traits = append(traits, rules.Trait{Name: fmt.Sprintf("trait-%d", trait), Values: values})
	}
	return canonical(t, &rules.Bot{Metadata: rules.Metadata{Name: name}, Traits: traits})
}

// oneWins makes many changes at once, of which one must succeed and stand.
func (s suite) oneWins(t *testing.T, a, b Store, change func(i int) store.Change) {
	t.Helper()
	const writers = 30
	var (
		changes [writers]store.Change
		wins    atomic.Int32
		winner  atomic.Int32
	)
	for i := range changes {
		changes[i] = change(i)
	}
	all(writers, a, b, func(i int, st Store) {
		switch err := st.Write(ctx(t), changes[i:i+1]); {
		case err == nil:
			wins.Add(1)
			winner.Store(int32(i))
		case !isConflict(err, rules.KindBot, "example"):
			t.Errorf("a write that lost: %v, want a *ConflictError of bot/example", err)
		}
	})
	if wins.Load() != 1 {
		t.Fatalf("%d writes succeeded, want 1", wins.Load())
	}
	sameResource(t, "bot/example", get(t, b, rules.KindBot, "example").Resource, changes[winner.Load()].Resource)
}

func isConflict(err error, kind rules.Kind, name string) bool {
	conflict, ok := errors.AsType[*store.ConflictError](err)
	return ok && conflict.Kind == kind && conflict.Name == name
}

// testAtomicWrite has the last of 100 changes fail, in each of the ways there are.
func (s suite) testAtomicWrite(t *testing.T) {
	for name, last := range map[string]func(current string) store.Change{
		"creation of what exists": func(string) store.Change {
			return store.Change{Kind: rules.KindRole, Name: "last", Resource: role(t, "last"), At: s.base}
		},
		"change of another revision": func(string) store.Change {
			return store.Change{Kind: rules.KindRole, Name: "last", Resource: role(t, "last"), Revision: "other", At: s.base}
		},
		"removal of another revision": func(current string) store.Change {
			return store.Change{Kind: rules.KindRole, Name: "last", Revision: current + "x", At: s.base}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := s.pair(t)
			put(t, a, s.base, role(t, "last"), bot(t, "changed"), bot(t, "removed"))
			before := get(t, a, rules.KindRole, "last")
			changed, removed := get(t, a, rules.KindBot, "changed"), get(t, a, rules.KindBot, "removed")
			changes := []store.Change{
				{Kind: rules.KindBot, Name: "changed", Resource: bot(t, "changed", "other"), Revision: changed.Revision, At: s.base},
				{Kind: rules.KindBot, Name: "removed", Revision: removed.Revision, At: s.base},
			}
			for i := len(changes); i < store.MaxChanges-1; i++ {
				created := bot(t, fmt.Sprintf("created-%d", i))
				changes = append(changes, store.Change{Kind: created.Kind(), Name: created.Name(), Resource: created, At: s.base})
			}
			if err := a.Write(ctx(t), append(changes, last(before.Revision))); !isConflict(err, rules.KindRole, "last") {
				t.Fatalf("got %v, want a *ConflictError of role/last", err)
			}
			if got := get(t, b, rules.KindRole, "last").Revision; got != before.Revision {
				t.Error("the resource in conflict was changed")
			}
			if get(t, b, rules.KindBot, "changed").Revision != changed.Revision {
				t.Error("a change before the conflict stands")
			}
			stored, err := b.List(ctx(t), rules.KindBot)
			check(t, "listing", err)
			if got := names(stored); len(got) != 2 {
				t.Errorf("bots are %q, want the two from before", got)
			}
			check(t, "making the other changes", a.Write(ctx(t), append(changes,
				store.Change{Kind: rules.KindRole, Name: "last", Revision: before.Revision, At: s.base})))
			stored, err = b.List(ctx(t), rules.KindBot)
			check(t, "listing", err)
			if len(stored) != store.MaxChanges-2 {
				t.Errorf("%d bots after the write, want %d", len(stored), store.MaxChanges-2)
			}
			if _, err := b.Get(ctx(t), rules.KindRole, "last"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a removed role: %v, want store.ErrNotFound", err)
			}
		})
	}
}

func (s suite) testRefusedWrites(t *testing.T) {
	a := s.open(t)
	put(t, a, s.base, bot(t, "example"))
	revision := get(t, a, rules.KindBot, "example").Revision
	create := func(name string) store.Change {
		return store.Change{Kind: rules.KindBot, Name: name, Resource: bot(t, name), At: s.base}
	}
	tooMany := make([]store.Change, store.MaxChanges+1)
	for i := range tooMany {
		tooMany[i] = create(fmt.Sprintf("bot-%d", i))
	}
	for name, c := range map[string]struct {
		changes  []store.Change
		conflict string // name of the bot
	}{
		"none":               {changes: nil},
		"one too many":       {changes: tooMany},
		"the same one twice": {changes: []store.Change{create("new"), create("other"), create("new")}},
		"removed and created at once": {changes: []store.Change{
			{Kind: rules.KindBot, Name: "example", Revision: revision, At: s.base}, create("example")}},
		"kind of another":      {changes: []store.Change{{Kind: rules.KindRole, Name: "new", Resource: bot(t, "new"), At: s.base}}},
		"name of another":      {changes: []store.Change{{Kind: rules.KindBot, Name: "new", Resource: bot(t, "other"), At: s.base}}},
		"removal, no revision": {changes: []store.Change{{Kind: rules.KindBot, Name: "example", At: s.base}}},
		"removal of what does not exist": {conflict: "new",
			changes: []store.Change{{Kind: rules.KindBot, Name: "new", Revision: revision, At: s.base}}},
		"change of what does not exist": {conflict: "new",
			changes: []store.Change{{Kind: rules.KindBot, Name: "new", Resource: bot(t, "new"), Revision: revision, At: s.base}}},
		"creation of what exists": {conflict: "example", changes: []store.Change{create("example")}},
	} {
		t.Run(name, func(t *testing.T) {
			err := a.Write(ctx(t), c.changes)
			if err == nil {
				t.Fatal("the write succeeded")
			}
			if c.conflict != "" && !isConflict(err, rules.KindBot, c.conflict) {
				t.Errorf("got %v, want a *ConflictError of bot/%s", err, c.conflict)
			}
			stored, err := a.List(ctx(t), rules.KindBot)
			check(t, "listing", err)
			if len(stored) != 1 || stored[0].Revision != revision {
				t.Errorf("bots are %q, want example unchanged", names(stored))
			}
		})
	}
}
