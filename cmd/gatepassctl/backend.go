package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/embedded"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/revoke"
	"github.com/gatepass-ci/gatepass/internal/rotation"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/stack"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// backend is what a command works on.
type backend struct {
	store admin.Store
	// authorities are opened when they are needed: most commands do without.
	authorities func() (join.Authorities, error)
	// keys are where the authorities' keys are made and retired, and cacheFor how long
	// the service goes by what it read of them.
	keys     admin.KeyRing
	cacheFor time.Duration
	// published asks the service which keys it tells others to trust; nil if none runs.
	published func(context.Context) (admin.Published, error)
	refresher func() (refresher, error)
	// running finds the service that runs on the store; nil if none answers.
	running func(context.Context) *embedded.Running
	silent  string // what it is if none answers, in words
	where   string // the store, in words
	// refreshesNew says that the keys of an issuer that is new are asked for when
	// its token rule is stored. An embedded server does so at the first join.
	refreshesNew bool
	// crl makes the CRLs of revocations, by lists of its own or of the service's.
	crl func(ctx context.Context, lists *revoke.Lists, revocations []store.Revocation) (string, error)
	// signsForUs says that the service alone can sign.
	signsForUs bool
	publicURL  string // of the service; empty if it is not known
	// makesAuthorities says how an authority that is missing comes to be.
	makesAuthorities string
	close            func() error
}

// refresher fetches issuers' keys.
type refresher interface {
	Refresh(ctx context.Context, issuer string) error
	RefreshAll(ctx context.Context) ([]jwks.Result, error)
}

// open opens what the command was told to work on. It must exist, unless create
// says that this command may begin it.
func (c *cli) open(ctx context.Context, create bool) (*backend, error) {
	if c.stack == "" && c.data == "" {
		c.stack, c.data = c.getenv("GATEPASS_STACK"), c.getenv("GATEPASS_DATA")
	}
	switch {
	case c.stack != "" && c.data != "":
		return nil, misused("choose one by --stack NAME or --data DIR", "both a stack and a data directory were given")
	case c.stack != "":
		return c.openStack(ctx)
	case c.data != "":
		return c.openLocal(ctx, create)
	}
	return nil, misused("write --stack NAME or --data DIR, or set GATEPASS_STACK or GATEPASS_DATA", "neither a stack nor a data directory was given")
}

func (c *cli) openStack(ctx context.Context) (*backend, error) {
	s, err := stack.Open(ctx, c.stack, c.now)
	switch {
	case errors.Is(err, stack.ErrNotFound):
		return nil, failed("check the name, the region (AWS_REGION) and the account: aws cloudformation list-stacks", "there is no stack %s", c.stack)
	case errors.Is(err, stack.ErrNoCredentials):
		return nil, failed("log in, such as by aws sso login, and set AWS_REGION", "the stack %s cannot be read: %w", c.stack, err)
	case err != nil:
		return nil, err
	}
	return &backend{
		store:       s.Store,
		authorities: func() (join.Authorities, error) { return s.Authorities, nil },
		keys:        s.KeyRing,
		cacheFor:    c.cacheFor,
		published:   func(ctx context.Context) (admin.Published, error) { return askPublished(ctx, s.JoinURL) },
		refresher:   func() (refresher, error) { return s.Refresher, nil },
		running:     func(ctx context.Context) *embedded.Running { return embedded.Ask(ctx, s.JoinURL, s.PublicURL, within) },
		crl: func(ctx context.Context, _ *revoke.Lists, all []store.Revocation) (string, error) {
			return s.CRL(ctx, all, c.now)
		},
		signsForUs:       true,
		publicURL:        s.PublicURL,
		silent:           "no answer from " + s.PublicURL,
		where:            "the stack " + c.stack,
		makesAuthorities: "deploy the stack with a key for it; see docs/deploy.md",
		refreshesNew:     true,
		close:            func() error { return nil },
	}, nil
}

func (c *cli) openLocal(ctx context.Context, create bool) (*backend, error) {
	s, err := sqlite.Open(ctx, c.data, sqlite.Options{MustExist: !create})
	if errors.Is(err, sqlite.ErrNoData) {
		return nil, failed("check the path, or start with: gatepassctl serve --data "+c.data, "there is %w in %s", sqlite.ErrNoData, c.data)
	}
	if err != nil {
		return nil, err
	}
	return &backend{
		store:       s,
		authorities: func() (join.Authorities, error) { return c.localAuthorities(ctx, s) },
		keys:        localca.NewKeyRing(filepath.Join(c.data, embedded.AuthoritiesDir), c.now, nil),
		published: func(ctx context.Context) (admin.Published, error) {
			if running := embedded.FindRunning(ctx, c.data, within); running != nil {
				return askPublished(ctx, running.URL)
			}
			return nil, nil
		},
		refresher: func() (refresher, error) {
			issuers, err := embedded.IssuerSettings(c.getenv)
			if err != nil {
				return nil, err
			}
			return embedded.NewRefresher(s, issuers, c.now, quiet())
		},
		running: func(ctx context.Context) *embedded.Running { return embedded.FindRunning(ctx, c.data, within) },
		crl: func(ctx context.Context, lists *revoke.Lists, _ []store.Revocation) (string, error) {
			return lists.CRL(ctx, x509Authorities()...)
		},
		silent:           "not running",
		where:            c.data,
		makesAuthorities: "start gatepassctl serve once: it makes them",
		close:            s.Close,
	}, nil
}

// localAuthorities reads the key files. Only serve makes them.
func (c *cli) localAuthorities(ctx context.Context, s rotation.Reader) (join.Authorities, error) {
	all, err := localca.Open(ctx, filepath.Join(c.data, embedded.AuthoritiesDir), localca.Options{ReadOnly: true, Rotated: s})
	if errors.Is(err, fs.ErrNotExist) {
		return noAuthorities{}, nil
	}
	return all, err
}

// noAuthorities are those of a data directory in which serve never ran.
type noAuthorities struct{}

func (noAuthorities) Authority(context.Context, cert.Purpose) (*join.Authority, error) {
	return nil, store.ErrNotFound
}
