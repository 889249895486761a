package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (s suite) testRules(t *testing.T) {
	t.Run("token, bot", func(t *testing.T) {
		a, b := s.pair(t)
		if _, err := store.Token(ctx(t), b, "example"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a token that does not exist: %v, want store.ErrNotFound", err)
		}
		if _, err := store.Bot(ctx(t), b, "example"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a bot that does not exist: %v, want store.ErrNotFound", err)
		}
		put(t, a, s.base, bot(t, "example", "deployer"), circleToken(t, "example", ""))
		gotToken, err := store.Token(ctx(t), b, "example")
		check(t, "reading the token", err)
		sameResource(t, "token/example", gotToken, circleToken(t, "example", ""))
		gotBot, err := store.Bot(ctx(t), b, "example")
		check(t, "reading the bot", err)
		sameResource(t, "bot/example", gotBot, bot(t, "example", "deployer"))
		replace(t, a, rules.KindToken, "example", nil, s.base)
		if _, err := store.Token(ctx(t), b, "example"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a token that was removed: %v, want store.ErrNotFound", err)
		}
	})
	t.Run("roles in the order of names, without those that do not exist", func(t *testing.T) {
		a, b := s.pair(t)
		put(t, a, s.base, role(t, "a"), role(t, "b"), role(t, "c"), bot(t, "d"))
		for _, c := range []struct{ names, want []string }{
			{nil, nil},
			{[]string{"missing"}, nil},
			{[]string{"d"}, nil}, // a bot
			{[]string{"c", "a", "b"}, []string{"c", "a", "b"}},
			{[]string{"b", "missing", "a"}, []string{"b", "a"}},
			{[]string{"a", "b", "a", "a"}, []string{"a", "b"}},
		} {
			roles, err := store.Roles(ctx(t), b, c.names)
			check(t, "reading roles", err)
			var got []string
			for _, r := range roles {
				got = append(got, r.Name())
				sameResource(t, "role/"+r.Name(), r, role(t, r.Name()))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("roles %q: got %q, want %q", c.names, got, c.want)
			}
		}
	})
	t.Run("locks", func(t *testing.T) {
		a, b := s.pair(t)
		want := func(names ...string) {
			t.Helper()
			locks, err := store.Locks(ctx(t), b)
			check(t, "reading locks", err)
			var got []string
			for _, l := range locks {
				got = append(got, l.Name())
				sameResource(t, "lock/"+l.Name(), l, lock(t, l.Name()))
			}
			slices.Sort(got)
			if !slices.Equal(got, names) {
				t.Errorf("locks are %q, want %q", got, names)
			}
		}
		want()
		put(t, a, s.base, lock(t, "one"), lock(t, "two"), bot(t, "one"))
		want("one", "two")
		replace(t, a, rules.KindLock, "one", nil, s.base)
		want("two")
	})
	t.Run("issuers follow the token rules", func(t *testing.T) {
		a, b := s.pair(t)
		want := func(issuers ...string) {
			t.Helper()
			got, err := b.Issuers(ctx(t))
			check(t, "reading the issuers", err)
			if !slices.Equal(got, issuers) {
				t.Errorf("issuers are %q, want %q", got, issuers)
			}
		}
		want()
		put(t, a, s.base, bot(t, "example"), bitbucketToken(t, "one", bitbucketZenith),
			bitbucketToken(t, "two", bitbucketAcme), bitbucketToken(t, "three", bitbucketAcme), circleToken(t, "four", ""))
		want(bitbucketAcme, bitbucketZenith, circleIssuer)
		replace(t, a, rules.KindToken, "two", nil, s.base)
		want(bitbucketAcme, bitbucketZenith, circleIssuer)
		replace(t, a, rules.KindToken, "three", bitbucketToken(t, "three", bitbucketZenith), s.base)
		want(bitbucketZenith, circleIssuer)
		replace(t, a, rules.KindToken, "four", circleToken(t, "four", "https://circleci.example.com"), s.base)
		want(bitbucketZenith, "https://circleci.example.com")
		replace(t, a, rules.KindToken, "one", nil, s.base)
		replace(t, a, rules.KindToken, "three", nil, s.base)
		replace(t, a, rules.KindToken, "four", nil, s.base)
		want()
	})
}
