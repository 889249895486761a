package ctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Backend is what commands work on: a deployed stack, or a data directory. Its String
// names it to people.
type Backend interface {
	fmt.Stringer
	Store() store.Store
	// Authorities returns the authorities, ready to sign as far as this command may. They
	// are opened when they are asked for: most commands do without.
	Authorities(ctx context.Context) (authority.Authorities, error)
	// MakesAuthorities says to people how an authority that is missing is made.
	MakesAuthorities() string
	// Rotator leads the authorities from phase to phase. It tells nobody what it does.
	Rotator(ctx context.Context) *authority.Rotator
	// RemoveKey is the command that deletes what a rotation left of a key that is past.
	RemoveKey(left string) string
	// CRL returns the CRLs of revocations; authority.ErrNone if there is no authority of
	// X.509. A stack signs by the service alone, of what is stored.
	CRL(ctx context.Context, revocations []store.Revocation, stored bool) (string, error)
	// Refresher fetches issuers' keys.
	Refresher() (Refresher, error)
	// RefreshNew fetches the keys of issuers that have none yet, and returns what came of
	// each. It does nothing where the first join does so.
	RefreshNew(ctx context.Context, issuers []string, watch ...func(done, total int)) []jwks.Result
	// Running returns the service that runs on the store. If none answers, the error says
	// so in a few words.
	Running(ctx context.Context) (*Running, error)
	// Damage returns what cannot be read back of the store, or cannot be trusted, and whether
	// it looked everywhere; with whole it does. A stack's store looks after itself.
	Damage(ctx context.Context, whole bool) (found []error, everywhere bool, err error)
	// PublicURL returns the URL of the service; "" if it is not known.
	PublicURL(ctx context.Context) string
	Close() error
}

// Refresher fetches issuers' keys.
type Refresher interface {
	RefreshOne(ctx context.Context, issuer string) jwks.Result
	RefreshAll(ctx context.Context, watch ...func(done, total int)) ([]jwks.Result, error)
}

const (
	// within bounds how long a command waits to hear whether a service runs.
	within = 2 * time.Second
	// askWithin bounds what the service may take: a cold start, and a certificate to make.
	askWithin = 20 * time.Second
)

// Open opens the backend that the command line or the environment names. It makes none: a
// data directory begins with gatepassctl serve, so that a slip in a path is told.
func (c *Env) Open(ctx context.Context) (Backend, error) {
	if _, err := c.Named(); err != nil {
		return nil, err
	}
	switch {
	case c.Stack != "" && c.Data != "":
		return nil, cli.Misused("both a stack and a data directory were given").Hint("choose one by --stack NAME or --data DIR")
	case c.Stack != "":
		return c.openStack(ctx)
	case c.Data != "":
		return c.openData(ctx)
	}
	return nil, cli.Misused("neither a stack nor a data directory was given").Hint("write --stack NAME or --data DIR, or set GATEPASS_STACK or GATEPASS_DATA")
}

// Named reports whether a flag or the environment names a store. What no flag names is
// taken from the environment.
func (c *Env) Named() (bool, error) {
	if c.Stack == "" && c.Data == "" {
		stack, stackErr := c.Setting("GATEPASS_STACK")
		data, dataErr := c.Setting("GATEPASS_DATA")
		if err := cmp.Or(stackErr, dataErr); err != nil {
			return false, err
		}
		c.Stack, c.Data = stack, data
	}
	return c.Stack != "" || c.Data != "", nil
}

// On makes the RunE of a command that works on a backend, which is closed after it. What
// can be said of flags without one is a command's PreRunE.
func (c *Env) On(run func(ctx context.Context, b Backend, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		b, err := c.Open(cmd.Context())
		if err != nil {
			return err
		}
		defer b.Close()
		return run(cmd.Context(), b, args)
	}
}

func (c *Env) openData(ctx context.Context) (Backend, error) {
	store, err := sqlite.Open(ctx, c.Data, sqlite.Options{MustExist: true, Mark: MarkFile(c.Data)})
	if errors.Is(err, sqlite.ErrNoData) {
		return nil, cli.Failed("there is %w in %s", sqlite.ErrNoData, c.Data).Hint("check the path; only serve begins one: gatepassctl serve --data %s", words.ShellWord(c.Data))
	}
	if err != nil {
		return nil, err
	}
	return &directory{env: c, path: c.Data, store: store}, nil
}

// Authority returns one authority of the backend that the command line names.
func (c *Env) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	b, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return Authority(ctx, b, p)
}

// Authority returns one authority of a backend, ready to sign.
func Authority(ctx context.Context, b Backend, p cert.Purpose) (*authority.Authority, error) {
	all, err := b.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	a, err := all.Authority(ctx, p)
	if errors.Is(err, authority.ErrNone) {
		return nil, cli.Failed("there is no %s authority in %s", p, b).Hint("%s", b.MakesAuthorities())
	}
	return a, err
}
