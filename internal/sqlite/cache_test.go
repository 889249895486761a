package sqlite_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestCacheIsBounded(t *testing.T) {
	s := open(t, t.TempDir())
	var changes []store.Change
	for i := range sqlite.MaxCached + 50 {
		b := sampleBot(fmt.Sprintf("bot-%d", i))
		changes = append(changes, store.Change{Kind: b.Kind(), Name: b.Name(), Resource: b, At: time.Now()})
	}
	for some := range slices.Chunk(changes, store.MaxChanges) {
		if err := s.Write(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		all, err := s.List(t.Context(), rules.KindBot)
		if err != nil || len(all) != len(changes) {
			t.Fatalf("listed %d, %v; want %d", len(all), err, len(changes))
		}
		if got := s.Cached(); got != sqlite.MaxCached {
			t.Errorf("%d resources are in memory, want %d", got, sqlite.MaxCached)
		}
	}
}

// TestUnchangedResourceIsNotDecodedAgain is what makes reads cheap.
func TestUnchangedResourceIsNotDecodedAgain(t *testing.T) {
	s := open(t, t.TempDir())
	b := sampleBot("example")
	create := store.Change{Kind: b.Kind(), Name: b.Name(), Resource: b, At: time.Now()}
	if err := s.Write(t.Context(), []store.Change{create}); err != nil {
		t.Fatal(err)
	}
	read := func() *rules.Bot {
		got, err := store.Bot(t.Context(), s, "example")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := read()
	if read() != first {
		t.Error("an unchanged bot was decoded again")
	}
	stored, err := s.Get(t.Context(), rules.KindBot, "example")
	if err != nil {
		t.Fatal(err)
	}
	create.Revision = stored.Revision
	if err := s.Write(t.Context(), []store.Change{create}); err != nil {
		t.Fatal(err)
	}
	if read() == first {
		t.Error("a bot that was written again was not read again")
	}
}

func sampleBot(name string) *rules.Bot {
	return &rules.Bot{Metadata: rules.Metadata{Name: name}, Roles: []string{"deployer"}}
}
