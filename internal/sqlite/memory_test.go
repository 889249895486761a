package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// TestMemoryIsBounded reads more than is kept: one by one, and as a list.
func TestMemoryIsBounded(t *testing.T) {
	s := open(t, t.TempDir())
	text := strings.Repeat("x", 2000)
	var changes []store.Change
	for i := range sqlite.MaxInMemory/len(text) + 100 {
		l := &rules.Lock{Metadata: rules.Metadata{Name: fmt.Sprintf("lock-%d", i), Description: text}, Target: rules.Target{Bot: "example"}}
		changes = append(changes, store.Change{Kind: l.Kind(), Name: l.Name(), Resource: l, At: time.Now()})
	}
	for some := range slices.Chunk(changes, store.MaxChanges) {
		worldtest.Must(t, s.Write(t.Context(), some))
	}
	for range 2 {
		all, err := s.List(t.Context(), rules.KindLock)
		if err != nil || len(all) != len(changes) {
			t.Fatalf("listed %d, %v; want %d", len(all), err, len(changes))
		}
		for _, c := range changes {
			_, err := s.Get(t.Context(), c.Kind, c.Name)
			worldtest.Must(t, err)
		}
		if resources, lists := s.InMemory(); resources > sqlite.MaxInMemory || resources < sqlite.MaxInMemory/2 || lists != 0 {
			t.Errorf("%d bytes of resources and %d of lists are in memory, want up to %d, and no list that is larger", resources, lists, sqlite.MaxInMemory)
		}
	}
}

// TestAnUnknownNameCostsWhatAKnownOneDoes is what keeps a stranger that tries names from
// learning by time which exist: each asks the database once, whether anything changed.
func TestAnUnknownNameCostsWhatAKnownOneDoes(t *testing.T) {
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	b := sampleBot("example")
	worldtest.Must(t, s.Write(t.Context(), []store.Change{{Kind: b.Kind(), Name: b.Name(), Resource: b, At: time.Now()}}))
	cost := func(name string) float64 {
		return testing.AllocsPerRun(100, func() { _, _ = s.Get(t.Context(), rules.KindBot, name) })
	}
	known, unknown := cost("example"), cost("nothing")
	if unknown > known+6 { // the error; a read of a row is some twenty more
		t.Errorf("an unknown name takes %v allocations, a known one %v", unknown, known)
	}
	// And what another process stores or removes is seen at once.
	for range 3 {
		if _, err := s.Get(t.Context(), rules.KindBot, "nothing"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("before it is stored: %v", err)
		}
		b := sampleBot("nothing")
		worldtest.Must(t, other.Write(t.Context(), []store.Change{{Kind: b.Kind(), Name: b.Name(), Resource: b, At: time.Now()}}))
		stored, err := s.Get(t.Context(), rules.KindBot, "nothing")
		worldtest.Must(t, err)
		worldtest.Must(t, other.Write(t.Context(), []store.Change{{Kind: b.Kind(), Name: b.Name(), Revision: stored.Revision, At: time.Now()}}))
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

// TestListsAreTheCallers: what a caller does to a list is not seen by another.
func TestListsAreTheCallers(t *testing.T) {
	s := open(t, t.TempDir())
	for _, name := range []string{"a", "b"} {
		b := sampleBot(name)
		worldtest.Must(t, s.Write(t.Context(), []store.Change{{Kind: b.Kind(), Name: name, Resource: b, At: time.Now()}}))
	}
	for range 3 {
		all, err := s.List(t.Context(), rules.KindBot)
		if err != nil || len(all) != 2 || all[0].Resource.Name() != "a" {
			t.Fatalf("%v, %v", all, err)
		}
		all[0], all[1] = all[1], all[0]
	}
}

const changeRounds = 150

// changeOnAndOn is the other process of TestAnotherProcessChanges: it stores a lock and
// removes it in turns, each when it is told to, and says when it has.
func changeOnAndOn(dir string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	change := store.Change{Kind: rules.KindLock, Name: "stop"}
	for told := bufio.NewScanner(os.Stdin); told.Scan(); {
		change.At, change.Resource = time.Now(), nil
		if told.Text() == "lock" {
			change.Revision, change.Resource = "", &rules.Lock{Metadata: rules.Metadata{Name: "stop"}, Target: rules.Target{Bot: "example"}}
		}
		if err := s.Write(ctx, []store.Change{change}); err != nil {
			return err
		}
		if change.Resource != nil {
			stored, err := s.Get(ctx, change.Kind, change.Name)
			if err != nil {
				return err
			}
			change.Revision = stored.Revision
		}
		fmt.Println("done")
	}
	return nil
}

// TestAnotherProcessChanges has another process change what this one has in memory, while
// this one reads it and commits joins: the first read after each change must see it.
func TestAnotherProcessChanges(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	self, err := os.Executable()
	worldtest.Must(t, err)
	child := childCommand(self, "change", dir)
	in, err := child.StdinPipe()
	worldtest.Must(t, err)
	out, err := child.StdoutPipe()
	worldtest.Must(t, err)
	worldtest.Must(t, child.Start())
	defer func() { worldtest.Must(t, errors.Join(in.Close(), child.Wait())) }()
	answers := bufio.NewScanner(out)

	stop := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(stop)
	for i := range 4 {
		busy.Go(func() { readAndWrite(t, s, fmt.Sprint(i), stop) })
	}
	for i := range changeRounds {
		for _, what := range []string{"lock", "unlock"} {
			fmt.Fprintln(in, what)
			if !answers.Scan() {
				t.Fatal("the other process ended")
			}
			locks, err := store.Locks(t.Context(), s)
			worldtest.Must(t, err)
			_, err = s.Get(t.Context(), rules.KindLock, "stop")
			if want := what == "lock"; (len(locks) == 1) != want || (err == nil) != want {
				t.Fatalf("round %d: %d locks, and %v, after %s", i, len(locks), err, what)
			}
		}
	}
}

// readAndWrite keeps what is in memory fresh, and the database changing by this process.
func readAndWrite(t *testing.T, s *sqlite.Store, me string, stop <-chan struct{}) {
	ctx := context.Background()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		_, err := store.Locks(ctx, s)
		if _, getErr := s.Get(ctx, rules.KindLock, "stop"); err != nil || getErr != nil && !errors.Is(getErr, store.ErrNotFound) {
			t.Errorf("reading: %v, %v", err, getErr)
			return
		}
		r := store.Record{JoinID: fmt.Sprintf("%s-%d", me, i), Time: time.Now(), Code: store.CodeOK}
		if err := s.Record(ctx, r, time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
			return
		}
	}
}

func sampleBot(name string) *rules.Bot {
	return &rules.Bot{Metadata: rules.Metadata{Name: name}, Roles: []string{"deployer"}}
}
