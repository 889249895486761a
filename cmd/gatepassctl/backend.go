package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/embedded"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
)

// backend is what a command works on.
type backend struct {
	store admin.Store
	// authorities are opened when they are needed: most commands do without.
	authorities func() (join.Authorities, error)
	refresher   func() (refresher, error)
	// running finds the service that runs on the store; nil if none answers.
	running func(context.Context) *embedded.Running
	where   string // the store, in words
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
	if err := c.needData(); err != nil {
		return nil, err
	}
	store, err := sqlite.Open(ctx, c.data, sqlite.Options{MustExist: !create})
	if errors.Is(err, sqlite.ErrNoData) {
		return nil, failed("check the path, or start with: gatepassctl serve --data "+c.data, "there is no Gatepass data in %s", c.data)
	}
	if err != nil {
		return nil, err
	}
	return &backend{
		store:       store,
		authorities: c.localAuthorities,
		refresher: func() (refresher, error) {
			issuers, err := embedded.IssuerSettings(c.getenv)
			if err != nil {
				return nil, err
			}
			return embedded.NewRefresher(store, issuers, c.now, quiet())
		},
		running:          func(ctx context.Context) *embedded.Running { return embedded.FindRunning(ctx, c.data, within) },
		where:            c.data,
		makesAuthorities: "start gatepassctl serve once: it makes them",
		close:            store.Close,
	}, nil
}

// localAuthorities reads the key files. Only serve makes them.
func (c *cli) localAuthorities() (join.Authorities, error) {
	all, err := localca.Open(filepath.Join(c.data, embedded.AuthoritiesDir), localca.Options{ReadOnly: true})
	if errors.Is(err, fs.ErrNotExist) {
		return noAuthorities{}, nil
	}
	return all, err
}

// noAuthorities are those of a data directory in which serve never ran.
type noAuthorities struct{}

func (noAuthorities) Authority(context.Context, cert.Purpose) (*join.Authority, error) {
	return nil, join.ErrNotFound
}

// needData checks that the command was told where the data is.
func (c *cli) needData() error {
	if c.data == "" {
		c.data = c.getenv("GATEPASS_DATA")
	}
	if c.data == "" {
		return misused("write --data DIR, or set GATEPASS_DATA", "no data directory was given")
	}
	return nil
}
