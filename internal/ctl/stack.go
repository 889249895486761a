package ctl

import (
	"context"
	"errors"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/stack"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

// deployed is the Backend of a stack.
type deployed struct {
	env   *Env
	stack *stack.Stack
}

func (d *deployed) String() string     { return "the stack " + d.stack.Name }
func (d *deployed) Store() store.Store { return d.stack.Store }
func (d *deployed) MakesAuthorities() string {
	return "deploy the stack with a key for it; see docs/deploy.md"
}
func (d *deployed) Close() error { return nil }

func (d *deployed) Authorities(context.Context) (authority.Authorities, error) {
	return d.stack.Authorities, nil
}

func (d *deployed) Rotator(context.Context) *authority.Rotator {
	return &authority.Rotator{
		Store: d.stack.Store, Keys: d.stack.KeyRing, CacheFor: d.env.CacheFor, Now: d.env.Now, Wait: wait.For,
		Authorities: func() (authority.Authorities, error) { return d.stack.Authorities, nil },
		Published:   func(ctx context.Context) (authority.Published, error) { return askPublished(ctx, d.stack.JoinURL) },
	}
}

// RemoveKey schedules the deletion of a KMS key.
func (d *deployed) RemoveKey(key string) string {
	return "aws kms schedule-key-deletion --pending-window-in-days 30 --key-id " + key
}

func (d *deployed) CRL(ctx context.Context, revocations []store.Revocation, stored bool) (string, error) {
	if !stored {
		return "", cli.Misused("on a stack the service signs the CRLs, of what is stored").Hint("leave --no-store out")
	}
	return d.stack.CRL(ctx, revocations, d.env.Now)
}

func (d *deployed) Refresher() (Refresher, error) { return d.stack.Refresher, nil }

func (d *deployed) RefreshNew(ctx context.Context, issuers []string, report func(string, error)) error {
	for _, issuer := range issuers {
		report(issuer, d.stack.Refresher.Refresh(ctx, issuer))
	}
	return nil
}

func (d *deployed) Running(ctx context.Context) (*Running, error) {
	running := askRunning(ctx, d.stack.JoinURL, d.stack.PublicURL, within)
	if running == nil {
		return nil, errors.New("no answer from " + d.stack.PublicURL)
	}
	return running, nil
}

func (d *deployed) PublicURL(context.Context) string { return d.stack.PublicURL }
