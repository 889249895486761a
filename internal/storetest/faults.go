package storetest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// testMalformed has items in the store that cannot be decoded: every read of one
// is an error that names it, never a panic, and never as if it did not exist.
func (s suite) testMalformed(t *testing.T) {
	if s.opts.Corrupt == nil {
		t.Fatal("Options.Corrupt is not set: say how an item of this store is damaged")
	}
	a, b := s.pair(t)
	put(t, a, s.base, bot(t, "bad"), bitbucketToken(t, "bad", bitbucketAcme), role(t, "bad"), lock(t, "bad"), role(t, "good"))
	check(t, "recording", a.Record(ctx(t), s.record(0), s.keep()))
	if _, err := store.Bot(ctx(t), b, "bad"); err != nil { // so that b may have it in memory
		t.Fatal(err)
	}
	id := s.record(0).JoinID
	for _, kind := range kinds() {
		s.opts.Corrupt(t, a, string(kind), "bad")
	}
	s.opts.Corrupt(t, a, KindRecord, id)
	revoked(t, a, 1, s.revocation("bad"))
	s.opts.Corrupt(t, a, KindRevocation, "bad")

	reads := map[string]func(Store) error{
		"record/" + id:     func(st Store) error { _, err := st.Join(ctx(t), id); return err },
		"records of " + id: func(st Store) error { return firstError(st.Joins(ctx(t), store.Query{})) },
		"token bad":        func(st Store) error { _, err := store.Token(ctx(t), st, "bad"); return err },
		"bot bad":          func(st Store) error { _, err := store.Bot(ctx(t), st, "bad"); return err },
		"roles bad":        func(st Store) error { _, err := store.Roles(ctx(t), st, []string{"good", "bad"}); return err },
		"locks bad":        func(st Store) error { _, err := store.Locks(ctx(t), st); return err },
		"revocations bad":  func(st Store) error { _, err := st.Revocations(ctx(t)); return err },
	}
	for _, kind := range kinds() {
		reads["get "+string(kind)+" bad"] = func(st Store) error { _, err := st.Get(ctx(t), kind, "bad"); return err }
		reads["list "+string(kind)+" bad"] = func(st Store) error { _, err := st.List(ctx(t), kind); return err }
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			for _, st := range []Store{a, b} {
				err := read(st)
				if err == nil || errors.Is(err, store.ErrNotFound) {
					t.Fatalf("got %v, want an error about the item", err)
				}
				if !strings.Contains(err.Error(), "bad") && !strings.Contains(err.Error(), id) {
					t.Errorf("%q does not name the item", err)
				}
			}
		})
	}
	t.Run("what cannot be decoded is listed beside the others, and can be replaced or removed", func(t *testing.T) {
		s.testMend(t, a, b)
	})
	t.Run("a listing names the damaged record and goes on", func(t *testing.T) {
		check(t, "recording", a.Record(ctx(t), s.record(-1), s.keep()))
		check(t, "recording", a.Record(ctx(t), s.record(1), s.keep()))
		for _, q := range []store.Query{{}, {OldestFirst: true}, {Limit: 3}} {
			var got []string
			for r, err := range b.Joins(ctx(t), q) {
				if damaged, ok := errors.AsType[*store.DamagedError](err); ok {
					got = append(got, "damaged "+damaged.JoinID)
					continue
				}
				check(t, "listing", err)
				got = append(got, r.JoinID)
			}
			want := []string{s.record(1).JoinID, "damaged " + id, s.record(-1).JoinID}
			if q.OldestFirst {
				slices.Reverse(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: got %q, want %q", q, got, want)
			}
		}
	})
	t.Run("others can still be read", func(t *testing.T) {
		if roles, err := store.Roles(ctx(t), b, []string{"good"}); err != nil || len(roles) != 1 {
			t.Errorf("a good role beside a bad one: %d, %v", len(roles), err)
		}
	})
}

func firstError(records iter.Seq2[store.Record, error]) error {
	for _, err := range records {
		if err != nil {
			return err
		}
	}
	return nil
}

// testContexts makes every call with a context that has ended: each says so, and nothing is stored.
func (s suite) testContexts(t *testing.T) {
	a, b := s.pair(t)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	calls := map[string]func() error{
		"Token":        func() error { _, err := store.Token(ended, a, "example"); return err },
		"Bot":          func() error { _, err := store.Bot(ended, a, "example"); return err },
		"Roles":        func() error { _, err := store.Roles(ended, a, []string{"example"}); return err },
		"Locks":        func() error { _, err := store.Locks(ended, a); return err },
		"KeySet":       func() error { _, err := a.KeySet(ended, circleIssuer); return err },
		"Lease":        func() error { _, err := a.Lease(ended, "issuer", s.base, s.base.Add(time.Hour)); return err },
		"Uses":         func() error { _, err := a.Uses(ended, hash("token")); return err },
		"Use":          func() error { _, err := a.Use(ended, s.use("first", 1)); return err },
		"Record":       func() error { return a.Record(ended, s.record(0), s.keep()) },
		"Issuers":      func() error { _, err := a.Issuers(ended); return err },
		"PutKeySet":    func() error { return a.PutKeySet(ended, s.keySet(0)) },
		"KeySetFailed": func() error { return a.KeySetFailed(ended, bitbucketAcme, s.base, "timeout") },
		"GetEach":      func() error { _, err := a.GetEach(ended, rules.KindBot, []string{"example"}); return err },
		"Get":          func() error { _, err := a.Get(ended, rules.KindBot, "example"); return err },
		"List":         func() error { _, err := a.List(ended, rules.KindBot); return err },
		"Write": func() error {
			return a.Write(ended, []store.Change{{Kind: rules.KindBot, Name: "example", Resource: bot(t, "example"), At: s.base}})
		},
		"Joins":       func() error { return firstError(a.Joins(ended, store.Query{})) },
		"Join":        func() error { _, err := a.Join(ended, s.record(0).JoinID); return err },
		"KeySets":     func() error { _, err := a.KeySets(ended); return err },
		"Revocations": func() error { _, err := a.Revocations(ended); return err },
		"Revoke":      func() error { _, err := a.Revoke(ended, []store.Revocation{s.revocation("x")}); return err },
		"Forget":      func() error { _, err := a.Forget(ended, s.base); return err },
		"Unpin":       func() error { return a.Unpin(ended, circleIssuer) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
	t.Run("nothing was stored", func(t *testing.T) {
		usesAre(t, b, nil)
		s.listed(t, b, store.Query{})
		if stored, err := b.List(ctx(t), rules.KindBot); err != nil || len(stored) != 0 {
			t.Errorf("%d bots, %v; want none", len(stored), err)
		}
		if sets, err := b.KeySets(ctx(t)); err != nil || len(sets) != 0 {
			t.Errorf("%d key sets, %v; want none", len(sets), err)
		}
		if got, err := b.Lease(ctx(t), "issuer", s.base, s.base.Add(time.Hour)); err != nil || !got {
			t.Errorf("the lease: %t, %v; want it free", got, err)
		}
	})
}

// testMend has role/bad and bot/bad damaged, and role/good beside them.
func (s suite) testMend(t *testing.T, a, b Store) {
	invalid := func(kind rules.Kind, err error) *store.InvalidError {
		t.Helper()
		e, ok := errors.AsType[*store.InvalidError](err)
		if !ok || e.Kind != kind || e.Name != "bad" || e.Revision == "" {
			t.Fatalf("got %v, want an *InvalidError of %s/bad with its revision", err, kind)
		}
		return e
	}
	_, err := b.Get(ctx(t), rules.KindBot, "bad")
	revision := invalid(rules.KindBot, err).Revision
	stored, err := b.List(ctx(t), rules.KindRole)
	if got := names(stored); !slices.Equal(got, []string{"good"}) {
		t.Errorf("roles are %q, want the good one", got)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 1 {
		t.Fatalf("got %v, want one error of errors.Join", err)
	}
	gone := store.Change{Kind: rules.KindRole, Name: "bad", Revision: invalid(rules.KindRole, joined.Unwrap()[0]).Revision, At: s.base}
	mended := store.Change{Kind: rules.KindBot, Name: "bad", Resource: bot(t, "bad"), Revision: revision, At: s.base}
	check(t, "replacing and removing", a.Write(ctx(t), []store.Change{gone, mended}))
	sameResource(t, "bot/bad", get(t, b, rules.KindBot, "bad").Resource, bot(t, "bad"))
	stored, err = b.List(ctx(t), rules.KindRole)
	check(t, "listing", err)
	if got := names(stored); !slices.Equal(got, []string{"good"}) {
		t.Errorf("roles are %q, want the good one", got)
	}
}
