// Package storetest is what every store has to pass. It holds a store to each
// sentence of the contract in internal/store, with
// as many calls at once, from as many instances, as a deployment would make.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Store is all that a store can do, and what it keeps of authorities.
type Store interface {
	store.Store
	authority.Store
}

// Options are how the suite gets at a store from outside.
type Options struct {
	// Reopen returns another handle on the data of s, as another instance of the
	// service would have it. Without it, one handle stands for both.
	Reopen func(t *testing.T, s Store) Store
	// Corrupt overwrites a stored item with one that cannot be decoded. The kind
	// is that of a resource, KindRecord or KindRevocation. It is required.
	Corrupt func(t *testing.T, s Store, kind, name string)
	// RecordsApart says that a use without success may leave its record, for its
	// caller to write over.
	RecordsApart bool
}

// The kinds that Corrupt is given beside those of resources: a record, whose name is the
// join id, and a revocation, whose name is its ID.
const (
	KindRecord     = "record"
	KindRevocation = "revocation"
)

// Run tests the stores that open returns; each is empty and of its own. Times
// that the suite stores lie around the present, so that a store that deletes
// what has expired keeps them.
func Run(t *testing.T, open func(t *testing.T) Store, opts Options) {
	s := suite{open: open, opts: opts, base: time.Now().UTC().Truncate(time.Second)}
	for _, group := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"resources", s.testResources},
		{"writes", s.testWrites},
		{"rules", s.testRules},
		{"uses", s.testUses},
		{"concurrent uses", s.testConcurrentUses},
		{"concurrent answers", s.testConcurrentAnswers},
		{"uses together with records", s.testTogether},
		{"leases", s.testLeases},
		{"key sets", s.testKeySets},
		{"pinned key sets", s.testPinnedKeySets},
		{"records", s.testRecords},
		{"queries", s.testQueries},
		{"revocations", s.testRevocations},
		{"rotated authorities", s.testAuthorities},
		{"malformed items", s.testMalformed},
		{"contexts", s.testContexts},
	} {
		t.Run(group.name, group.run)
	}
}

type suite struct {
	open func(t *testing.T) Store
	opts Options
	base time.Time // a whole second about now
}

// pair returns two handles on one empty store.
func (s suite) pair(t *testing.T) (Store, Store) {
	t.Helper()
	a := s.open(t)
	if s.opts.Reopen == nil {
		return a, a
	}
	return a, s.opts.Reopen(t, a)
}

// all runs f n times at once and waits. Even and odd calls get different handles.
func all(n int, a, b Store, f func(i int, s Store)) {
	var (
		done  sync.WaitGroup
		start = make(chan struct{})
	)
	for i := range n {
		handle := a
		if i%2 == 1 {
			handle = b
		}
		done.Go(func() {
			<-start
			f(i, handle)
		})
	}
	close(start)
	done.Wait()
}

// ctx is a context that ends with the test, and that has an end, as every
// request's has.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return c
}

func check(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}

// put stores resources that do not exist yet.
func put(t *testing.T, s Store, at time.Time, resources ...rules.Resource) {
	t.Helper()
	changes := make([]store.Change, len(resources))
	for i, r := range resources {
		changes[i] = store.Change{Kind: r.Kind(), Name: r.Name(), Resource: r, At: at}
	}
	check(t, "storing resources", s.Write(ctx(t), changes))
}

// replace stores a resource in place of an earlier one, if r is nil none.
func replace(t *testing.T, s Store, kind rules.Kind, name string, r rules.Resource, at time.Time) {
	t.Helper()
	change := store.Change{Kind: kind, Name: name, Resource: r, Revision: get(t, s, kind, name).Revision, At: at}
	check(t, fmt.Sprintf("replacing %s/%s", kind, name), s.Write(ctx(t), []store.Change{change}))
}

func get(t *testing.T, s Store, kind rules.Kind, name string) store.Stored {
	t.Helper()
	stored, err := s.Get(ctx(t), kind, name)
	check(t, fmt.Sprintf("reading %s/%s", kind, name), err)
	return stored
}

// sameResource compares by what is stored of resources.
func sameResource(t *testing.T, what string, got, want rules.Resource) {
	t.Helper()
	g, err := rules.Encode(got)
	check(t, "encoding what was stored as "+what, err)
	w, err := rules.Encode(want)
	check(t, "encoding "+what, err)
	if !bytes.Equal(g, w) {
		t.Errorf("%s came back as\n%s\nwant\n%s", what, g, w)
	}
}

// utc tests that a time is in UTC and the same instant as want.
func utc(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("%s is %s, want %s", what, got, want.UTC())
	}
}
