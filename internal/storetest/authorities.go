package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func newKey(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, "making a key", err)
	return &key.PublicKey
}

// announced is an authority in phase 1.
func announced(t *testing.T, p cert.Purpose) authority.State {
	t.Helper()
	a, err := authority.First(p, "arn:aws:kms:eu-central-1:123456789012:key/old", newKey(t))
	check(t, "making an authority", err)
	a, err = a.Begin("arn:aws:kms:eu-central-1:123456789012:key/new", newKey(t), time.Now())
	check(t, "beginning a rotation", err)
	return a
}

// rotated reads what is stored, by purpose.
func rotated(t *testing.T, s Store) map[cert.Purpose]authority.Stored {
	t.Helper()
	all, err := s.RotatedAuthorities(ctx(t))
	check(t, "reading the authorities", err)
	found := map[cert.Purpose]authority.Stored{}
	for _, one := range all {
		found[one.Purpose] = one
	}
	if len(found) != len(all) {
		t.Errorf("%d of %d authorities are there twice", len(all)-len(found), len(all))
	}
	return found
}

func conflicts(t *testing.T, doing string, err error) {
	t.Helper()
	if conflict, ok := errors.AsType[*store.ConflictError](err); !ok || conflict.Kind != store.KindAuthority || conflict.Name != string(cert.SSHUser) {
		t.Errorf("%s: got %v, want a conflict about authority/ssh-user", doing, err)
	}
}

func (s suite) testAuthorities(t *testing.T) {
	t.Run("what is written is read", func(t *testing.T) {
		a, b := s.pair(t)
		if found := rotated(t, a); len(found) != 0 {
			t.Errorf("there are %v at first", found)
		}
		user, host := announced(t, cert.SSHUser), announced(t, cert.SSHHost)
		at := s.base.Add(123456789 * time.Nanosecond).In(time.FixedZone("", 7200))
		check(t, "storing", a.PutRotatedAuthority(ctx(t), user, "", at))
		check(t, "storing", a.PutRotatedAuthority(ctx(t), host, "", at))
		first := rotated(t, b)
		if len(first) != 2 || !reflect.DeepEqual(first[cert.SSHUser].State, user) || !reflect.DeepEqual(first[cert.SSHHost].State, host) {
			t.Errorf("they came back as %+v", first)
		}
		utc(t, "UpdatedAt", first[cert.SSHUser].UpdatedAt, at)

		user, err := user.Sign(s.base)
		check(t, "a step", err)
		check(t, "replacing", b.PutRotatedAuthority(ctx(t), user, first[cert.SSHUser].Revision, at.Add(time.Hour)))
		second := rotated(t, a)
		if !reflect.DeepEqual(second[cert.SSHUser].State, user) || second[cert.SSHUser].Revision == first[cert.SSHUser].Revision {
			t.Errorf("it came back as %+v", second[cert.SSHUser])
		}
		utc(t, "UpdatedAt", second[cert.SSHUser].UpdatedAt, at.Add(time.Hour))
		if !reflect.DeepEqual(second[cert.SSHHost], first[cert.SSHHost]) {
			t.Errorf("the other one became %+v", second[cert.SSHHost])
		}
	})
	t.Run("only what was read is replaced", func(t *testing.T) {
		a, b := s.pair(t)
		user := announced(t, cert.SSHUser)
		conflicts(t, "replacing none", a.PutRotatedAuthority(ctx(t), user, "no such revision", s.base))
		check(t, "storing", a.PutRotatedAuthority(ctx(t), user, "", s.base))
		conflicts(t, "storing another", b.PutRotatedAuthority(ctx(t), announced(t, cert.SSHUser), "", s.base))
		revision := rotated(t, b)[cert.SSHUser].Revision
		signs, err := user.Sign(s.base)
		check(t, "a step", err)
		check(t, "replacing", a.PutRotatedAuthority(ctx(t), signs, revision, s.base))
		conflicts(t, "replacing what was read before", b.PutRotatedAuthority(ctx(t), user, revision, s.base))
		if got := rotated(t, b)[cert.SSHUser]; got.Phase() != authority.Switched {
			t.Errorf("it is in %s", got.Phase())
		}
	})
	t.Run("one of many at once", func(t *testing.T) {
		a, b := s.pair(t)
		user := announced(t, cert.SSHUser)
		for round := range 3 {
			revision := rotated(t, a)[cert.SSHUser].Revision
			var won atomic.Int32
			all(20, a, b, func(_ int, st Store) {
				err := st.PutRotatedAuthority(ctx(t), user, revision, s.base)
				if err == nil {
					won.Add(1)
				} else if _, conflict := errors.AsType[*store.ConflictError](err); !conflict {
					t.Errorf("storing: %v", err)
				}
			})
			if won.Load() != 1 {
				t.Errorf("round %d: %d writes of one revision succeeded, want 1", round, won.Load())
			}
		}
	})
	t.Run("what is no authority is not stored", func(t *testing.T) {
		a := s.open(t)
		user := announced(t, cert.SSHUser)
		user.Keys[0].Use = authority.Trusted
		if err := a.PutRotatedAuthority(ctx(t), user, "", s.base); err == nil || len(rotated(t, a)) > 0 {
			t.Errorf("an authority in which nobody signs was stored: %v", err)
		}
	})
	t.Run("they are no resources", func(t *testing.T) {
		a := s.open(t)
		check(t, "storing", a.PutRotatedAuthority(ctx(t), announced(t, cert.SSHUser), "", s.base))
		put(t, a, s.base, bot(t, "ssh-user"))
		for _, kind := range kinds() {
			if listed, err := a.List(ctx(t), kind); err != nil || len(listed) > 0 != (kind == rules.KindBot) {
				t.Errorf("List of kind %s: %d, %v", kind, len(listed), err)
			}
		}
		if issuers, err := a.Issuers(ctx(t)); err != nil || len(issuers) > 0 {
			t.Errorf("issuers %v, %v", issuers, err)
		}
	})
	t.Run("one that is damaged is named", func(t *testing.T) {
		a, b := s.pair(t)
		check(t, "storing", a.PutRotatedAuthority(ctx(t), announced(t, cert.SSHUser), "", s.base))
		rotated(t, b) // so that b may have it in memory
		s.opts.Corrupt(t, a, string(store.KindAuthority), string(cert.SSHUser))
		for _, st := range []Store{a, b} {
			if all, err := st.RotatedAuthorities(ctx(t)); err == nil || !strings.Contains(err.Error(), "ssh-user") {
				t.Errorf("got %v, %v", all, err)
			}
		}
	})
}
