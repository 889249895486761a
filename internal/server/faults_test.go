package server_test

import (
	"context"
	"crypto"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Parts that fail, each in one way, over the real ones.

type noRules struct{}

func (noRules) Token(context.Context, string) (*rules.TokenRule, error) { return nil, errDown }
func (noRules) Bot(context.Context, string) (*rules.Bot, error)         { return nil, errDown }
func (noRules) Roles(context.Context, []string) ([]*rules.Role, error) {
	return nil, errDown
}

type panicking struct{ noRules }

func (panicking) Token(context.Context, string) (*rules.TokenRule, error) { panic("a fault of ours") }

type noKeySets struct{}

func (noKeySets) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, store.ErrNotFound
}

// noClaims can read claims and not store them.
type noClaims struct{ join.Claims }

func (noClaims) Use(context.Context, store.Use) (time.Time, error) { return time.Time{}, errDown }

type noRecords struct{}

func (noRecords) Record(context.Context, store.Record, time.Time) error { return errDown }

// without lacks one authority.
type without struct {
	join.Authorities
	purpose cert.Purpose
}

func (w without) Authority(ctx context.Context, p cert.Purpose) (*join.Authority, error) {
	if p == w.purpose {
		return nil, store.ErrNotFound
	}
	return w.Authorities.Authority(ctx, p)
}

type noAuthorities struct{}

func (noAuthorities) Authority(context.Context, cert.Purpose) (*join.Authority, error) {
	return nil, errDown
}

// brokenSigner has keys that cannot be used.
type brokenSigner struct{ join.Authorities }

func (b brokenSigner) Authority(ctx context.Context, p cert.Purpose) (*join.Authority, error) {
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

type noLocks struct{}

func (noLocks) Locks(context.Context) ([]*rules.Lock, error) { return nil, errDown }

// noBots and noRoles can read all other rules.
type noBots struct{ join.Rules }

func (noBots) Bot(context.Context, string) (*rules.Bot, error) { return nil, errDown }

type noRoles struct{ join.Rules }

func (noRoles) Roles(context.Context, []string) ([]*rules.Role, error) { return nil, errDown }

// unreadClaims can store claims and not read them.
type unreadClaims struct{ join.Claims }

func (unreadClaims) Claim(context.Context, string) (map[string]time.Time, error) { return nil, errDown }

type downKeySets struct{}

func (downKeySets) KeySet(context.Context, string) (store.KeySet, error) {
	return store.KeySet{}, errDown
}

type noLeases struct{}

func (noLeases) Lease(context.Context, string, time.Time, time.Time) (bool, error) {
	return false, errDown
}

// downAuthority cannot reach one authority.
type downAuthority struct {
	join.Authorities
	purpose cert.Purpose
}

func (d downAuthority) Authority(ctx context.Context, p cert.Purpose) (*join.Authority, error) {
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
		"the locks":             {func(c *join.Config) { c.Locks = noLocks{} }, api.CodeStoreUnavailable},
		"the bot":               {func(c *join.Config) { c.Rules = noBots{c.Rules} }, api.CodeStoreUnavailable},
		"the roles":             {func(c *join.Config) { c.Rules = noRoles{c.Rules} }, api.CodeStoreUnavailable},
		"the claim":             {func(c *join.Config) { c.Claims = unreadClaims{c.Claims} }, api.CodeStoreUnavailable},
		"the key set":           {func(c *join.Config) { c.KeySets = downKeySets{} }, api.CodeStoreUnavailable},
		"the lease":             {func(c *join.Config) { c.KeySets, c.Leases = noKeySets{}, noLeases{} }, api.CodeStoreUnavailable},
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
				uses, err := s.store.Claim(t.Context(), r.IDToken)
				if must(t, err); len(uses) > 0 || r.Code != string(c.code) {
					t.Errorf("recorded %s and spent %v", r.Code, uses)
				}
			}
		})
	}
}
