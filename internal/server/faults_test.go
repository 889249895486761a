package server_test

import (
	"context"
	"crypto"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Parts that fail, each in one way, over the real ones.

type noRules struct{ join.Store }

func (noRules) Get(context.Context, rules.Kind, string) (store.Stored, error) {
	return store.Stored{}, errDown
}

type panicking struct{ join.Store }

func (panicking) Get(context.Context, rules.Kind, string) (store.Stored, error) {
	panic("a fault of ours")
}

type noKeySets struct{ join.Store }

func (noKeySets) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, store.ErrNotFound
}

// noUses can read uses and not store them.
type noUses struct{ join.Store }

func (noUses) Use(context.Context, store.Use) (store.Answer, error) { return store.Answer{}, errDown }

type noRecords struct{ join.Store }

func (noRecords) Use(context.Context, store.Use) (store.Answer, error) {
	return store.Answer{}, errDown
}

func (noRecords) Record(context.Context, store.Record, time.Time) error { return errDown }

// without lacks one authority.
type without struct {
	authority.Authorities
	purpose cert.Purpose
}

func (w without) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	if p == w.purpose {
		return nil, authority.ErrNone
	}
	return w.Authorities.Authority(ctx, p)
}

type noAuthorities struct{}

func (noAuthorities) Prepare(context.Context) {}

func (noAuthorities) Authority(context.Context, cert.Purpose) (*authority.Authority, error) {
	return nil, errDown
}

// brokenSigner has keys that cannot be used.
type brokenSigner struct{ authority.Authorities }

func (b brokenSigner) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	a, err := b.Authorities.Authority(ctx, p)
	if err != nil {
		return nil, err
	}
	broken := *a
	broken.Signer = refusing{a.Signer}
	return &broken, nil
}

type refusing struct{ crypto.Signer }

func (refusing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errDown }

// noLocks, noBots and noRoles can read all other resources.
type noLocks struct{ join.Store }

func (s noLocks) List(ctx context.Context, kind rules.Kind) ([]store.Stored, error) {
	if kind == rules.KindLock {
		return nil, errDown
	}
	return s.Store.List(ctx, kind)
}

type noBots struct{ join.Store }

func (s noBots) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	if kind == rules.KindBot {
		return store.Stored{}, errDown
	}
	return s.Store.Get(ctx, kind, name)
}

type noRoles struct{ join.Store }

func (s noRoles) GetEach(ctx context.Context, kind rules.Kind, names []string) ([]store.Stored, error) {
	if kind == rules.KindRole {
		return nil, errDown
	}
	return s.Store.GetEach(ctx, kind, names)
}

// unreadUses can store uses and not read them.
type unreadUses struct{ join.Store }

func (unreadUses) Uses(context.Context, string) (map[string]store.Answer, error) { return nil, errDown }

type downKeySets struct{ join.Store }

func (downKeySets) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, errDown
}

type noLeases struct{ join.Store }

func (noLeases) Lease(context.Context, string, time.Time, time.Time) (bool, error) {
	return false, errDown
}

// downAuthority cannot reach one authority.
type downAuthority struct {
	authority.Authorities
	purpose cert.Purpose
}

func (d downAuthority) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	if p == d.purpose {
		return nil, errDown
	}
	return d.Authorities.Authority(ctx, p)
}

// Whatever cannot be read refuses the join, in words that tell it can be sent
// again: locks that are not known might lock it.
func TestWhatCannotBeReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(*join.Config)
		code api.Code
	}{
		"the locks":             {func(c *join.Config) { c.Store = noLocks{c.Store} }, api.CodeStoreUnavailable},
		"the bot":               {func(c *join.Config) { c.Store = noBots{c.Store} }, api.CodeStoreUnavailable},
		"the roles":             {func(c *join.Config) { c.Store = noRoles{c.Store} }, api.CodeStoreUnavailable},
		"the uses":              {func(c *join.Config) { c.Store = unreadUses{c.Store} }, api.CodeStoreUnavailable},
		"the key set":           {func(c *join.Config) { c.Store = downKeySets{c.Store} }, api.CodeStoreUnavailable},
		"the lease":             {func(c *join.Config) { c.Store = noLeases{noKeySets{c.Store}} }, api.CodeStoreUnavailable},
		"the signing authority": {func(c *join.Config) { c.Authorities = downAuthority{c.Authorities, cert.SSHUser} }, api.CodeSignerUnavailable},
		"another authority":     {func(c *join.Config) { c.Authorities = downAuthority{c.Authorities, cert.SSHHost} }, api.CodeSignerUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(s *service, _ *server.Config) { c.fail(&s.config) })
			a := s.join(s.bitbucketRequest())
			if a.problem == nil || a.problem.Code != c.code || a.header.Get("Retry-After") == "" {
				t.Fatalf("answered %d %s", a.status, a.body)
			}
			if strings.Contains(a.body, errDown.Error()) || !strings.Contains(s.log.String(), errDown.Error()) {
				t.Error("the cause is for the log, and not for the caller")
			}
			for _, r := range s.records() {
				uses, err := s.store.Uses(t.Context(), r.IDToken)
				if must(t, err); len(uses) > 0 || r.Code != string(c.code) {
					t.Errorf("recorded %s and spent %v", r.Code, uses)
				}
			}
		})
	}
}

// mixedUp gives one authority in the place of another.
type mixedUp struct {
	authority.Authorities
	asked, given cert.Purpose
}

func (m mixedUp) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	if p == m.asked {
		p = m.given
	}
	return m.Authorities.Authority(ctx, p)
}

// TestAnAuthorityInThePlaceOfAnotherSignsNothing: a key that hosts are known by would vouch for users.
func TestAnAuthorityInThePlaceOfAnotherSignsNothing(t *testing.T) {
	for asked, given := range map[cert.Purpose]cert.Purpose{cert.SSHUser: cert.SSHHost, cert.X509Identity: cert.X509Database} {
		s := newService(t, func(s *service, _ *server.Config) { s.config.Authorities = mixedUp{s.config.Authorities, asked, given} })
		a := s.join(s.bitbucketRequest())
		if a.problem == nil || a.problem.Code != api.CodeSignerUnavailable {
			t.Errorf("%s in the place of %s: answered %d %s", given, asked, a.status, a.body)
		}
		if want := "the store gave the authority " + string(given) + " for " + string(asked); !strings.Contains(s.log.String(), want) {
			t.Errorf("the log does not say that %s: %s", want, s.log.String())
		}
	}
}
