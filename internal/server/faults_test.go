package server_test

import (
	"context"
	"crypto"
	"io"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Parts that fail, each in one way, over the real ones.

type noRules struct{}

func (noRules) Token(context.Context, string) (*rules.Token, error) { return nil, errDown }
func (noRules) Bot(context.Context, string) (*rules.Bot, error)     { return nil, errDown }
func (noRules) Roles(context.Context, []string) ([]*rules.Role, error) {
	return nil, errDown
}

type panicking struct{ noRules }

func (panicking) Token(context.Context, string) (*rules.Token, error) { panic("a fault of ours") }

type noKeySets struct{}

func (noKeySets) KeySet(context.Context, string) (join.KeySet, error) {
	return join.KeySet{}, join.ErrNotFound
}

// noClaims can read claims and not store them.
type noClaims struct{ join.Claims }

func (noClaims) Use(context.Context, join.Use) (time.Time, error) { return time.Time{}, errDown }

type noRecords struct{}

func (noRecords) Record(context.Context, join.Record, time.Time) error { return errDown }

// without lacks one authority.
type without struct {
	join.Authorities
	purpose cert.Purpose
}

func (w without) Authority(ctx context.Context, p cert.Purpose) (*join.Authority, error) {
	if p == w.purpose {
		return nil, join.ErrNotFound
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
