package sqlite_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// bots stores or removes bots.
func bots(t *testing.T, s *sqlite.Store, there bool, names ...string) {
	t.Helper()
	var changes []store.Change
	for _, name := range names {
		change := store.Change{Kind: rules.KindBot, Name: name, At: time.Now()}
		if there {
			change.Resource = sampleBot(name)
		} else {
			stored, err := s.Get(t.Context(), rules.KindBot, name)
			worldtest.Must(t, err)
			change.Revision = stored.Revision
		}
		changes = append(changes, change)
	}
	for some := range slices.Chunk(changes, store.MaxChanges) {
		worldtest.Must(t, s.Write(t.Context(), some))
	}
}

func namesFrom(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}

// With 100,000 token rules the first joins after each change read 100,000 names.
func TestAChangeCostsWhatItChanges(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	is := func(want bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if _, err := s.Get(t.Context(), rules.KindBot, name); (err == nil) != want || err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatalf("%s: %v, want it there: %t", name, err, want)
			}
		}
	}
	kept := func() uintptr { return reflect.ValueOf(s.Names(rules.KindBot)).Pointer() }
	many := namesFrom("many", 300)
	bots(t, other, true, many...)
	is(true, many[0])
	if s.Names(rules.KindBot) != nil {
		t.Error("one bot was read, and all names")
	}
	is(false, "nothing")

	before := kept()
	bots(t, other, true, "new")
	bots(t, other, false, many[1])
	lock := &rules.Lock{Metadata: rules.Metadata{Name: "new-2"}, Target: rules.Target{Bot: "example"}}
	worldtest.Must(t, other.Write(t.Context(), []store.Change{{Kind: lock.Kind(), Name: lock.Name(), Resource: lock, At: time.Now()}}))
	is(true, "new", many[0], many[2])
	is(false, many[1], "new-2", "nothing")
	if kept() != before || len(s.Names(rules.KindBot)) != 300 {
		t.Errorf("all names were read again, or there are other than 300: %d", len(s.Names(rules.KindBot)))
	}

	// More changes than are remembered.
	later := namesFrom("later", 1100)
	bots(t, other, true, later...)
	bots(t, other, false, many[2])
	is(true, "new", many[0], later[0], later[1099])
	is(false, many[1], many[2], "nothing")
	if len(s.Names(rules.KindBot)) != 1399 {
		t.Errorf("%d names are known", len(s.Names(rules.KindBot)))
	}
	var remembered int
	worldtest.Must(t, raw(t, dir).QueryRow("SELECT count(*) FROM changed").Scan(&remembered))
	if remembered != 1000 {
		t.Errorf("%d changes are remembered", remembered)
	}
}

// A list is read again if one of its kind was changed, in whatever way, and not if others were.
func TestAListIsReadAgainWhenItsKindChanges(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	has := func(want int, after string) {
		t.Helper()
		if all, err := s.List(t.Context(), rules.KindBot); err != nil || len(all) != want {
			t.Errorf("after %s: %d bots, %v; want %d", after, len(all), err, want)
		}
	}
	bots(t, other, true, "a", "b")
	has(2, "two were added")
	before := &s.ListInMemory(rules.KindBot)[0]
	lock := &rules.Lock{Metadata: rules.Metadata{Name: "lock"}, Target: rules.Target{Bot: "example"}}
	worldtest.Must(t, other.Write(t.Context(), []store.Change{{Kind: lock.Kind(), Name: lock.Name(), Resource: lock, At: time.Now()}}))
	has(2, "a lock was added")
	if &s.ListInMemory(rules.KindBot)[0] != before {
		t.Error("a lock was added, and the bots were read again")
	}
	bots(t, other, true, "c")
	has(3, "one was added")
	bots(t, other, false, "c")
	has(2, "one was removed")
	_, err := raw(t, dir).Exec(`UPDATE resources SET kind = 'role' WHERE kind = 'bot' AND name = 'b'`)
	worldtest.Must(t, err)
	has(1, "one was made a role by hand")
	bots(t, other, true, "first")
	// More changes than are remembered, of which the last 1,000 are not of bots.
	_, err = raw(t, dir).Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001)
		INSERT INTO resources (kind, name, revision, updated_at, body) SELECT 'role', i, 'none', 0, x'' FROM n`)
	worldtest.Must(t, err)
	has(2, "one was added and 1,001 roles after it")
}

// More names than are kept are asked for one by one.
func TestNamesInMemoryAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := raw(t, dir).Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
		INSERT INTO resources (kind, name, revision, updated_at, body) SELECT 'bot', printf('%0240d', i), 'none', 0, x'' FROM n`, sqlite.MaxInMemory/240+10)
	worldtest.Must(t, err)
	var invalid *store.InvalidError
	if _, err := s.Get(t.Context(), rules.KindBot, fmt.Sprintf("%0240d", 1)); !errors.As(err, &invalid) {
		t.Errorf("one that exists: %v", err)
	}
	if _, err := s.Get(t.Context(), rules.KindBot, "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("one that does not: %v", err)
	}
	if s.Names(rules.KindBot) != nil {
		t.Error("all names are in memory")
	}
}
