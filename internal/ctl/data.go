package ctl

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// directory is the Backend of a data directory.
type directory struct {
	env   *Env
	path  string
	store *sqlite.Store
}

// String is the absolute path: a relative one says nothing in a log.
func (d *directory) String() string {
	if path, err := filepath.Abs(d.path); err == nil {
		return path
	}
	return d.path
}

func (d *directory) Store() store.Store       { return d.store }
func (d *directory) MakesAuthorities() string { return "start gatepassctl serve once: it makes them" }
func (d *directory) Close() error             { return d.store.Close() }

// AuthoritiesDir, in the data directory, has the authorities' key files.
const AuthoritiesDir = "authorities"

// MarkFile, beside the keys of a data directory, is by which they and the store know each
// other.
func MarkFile(data string) string { return filepath.Join(data, AuthoritiesDir, "store.json") }

func (d *directory) authoritiesDir() string { return filepath.Join(d.path, AuthoritiesDir) }

// Authorities reads the key files. Only serve makes them.
func (d *directory) Authorities(ctx context.Context) (authority.Authorities, error) {
	known, err := d.store.KnownKeys(ctx)
	if err != nil {
		return nil, err
	}
	all, err := localca.Open(ctx, d.authoritiesDir(), localca.Options{ReadOnly: true, Rotated: d.store, Known: known})
	if errors.Is(err, fs.ErrNotExist) {
		return noAuthorities{}, nil
	}
	return all, err
}

// noAuthorities are those of a data directory in which serve never ran.
type noAuthorities struct{}

func (noAuthorities) Authority(context.Context, cert.Purpose) (*authority.Authority, error) {
	return nil, authority.ErrNone
}

func (noAuthorities) Prepare(context.Context) {}

// Rotator's service reads the keys with every join, so there is nothing to wait for.
func (d *directory) Rotator(ctx context.Context) *authority.Rotator {
	return &authority.Rotator{
		Store: d.store, Keys: localca.NewKeyRing(d.authoritiesDir(), localca.Options{Now: d.env.Now}), Now: d.env.Now, Wait: wait.For,
		Authorities: func() (authority.Authorities, error) { return d.Authorities(ctx) },
		Published: func(ctx context.Context) (authority.Published, error) {
			if running := FindRunning(ctx, d.path); running != nil {
				return AskPublished(ctx, running.URL)
			}
			return nil, nil
		},
	}
}

// RemoveKey removes the file that a key was put aside in.
func (d *directory) RemoveKey(file string) string { return "rm " + words.ShellWord(file) }

// listed are revocations as lists are made of them.
type listed []store.Revocation

func (l listed) Revocations(context.Context) ([]store.Revocation, error) { return l, nil }

// KRL returns the KRL of revocations. No key signs it.
func (c *Env) KRL(ctx context.Context, revocations []store.Revocation) ([]byte, error) {
	list, err := authority.NewLists(authority.ListsConfig{Revocations: listed(revocations), Now: c.Now, Rand: rand.Reader}).KRL(ctx)
	if err != nil {
		return nil, err
	}
	return list.Content, nil
}

// CRL signs by the key files, of what is stored or not.
func (d *directory) CRL(ctx context.Context, revocations []store.Revocation, _ bool) (string, error) {
	authorities, err := d.Authorities(ctx)
	if err != nil {
		return "", err
	}
	lists := authority.ListsConfig{Revocations: listed(revocations), Authorities: authorities, Now: d.env.Now, Rand: rand.Reader}
	list, err := authority.NewLists(lists).CRL(ctx, cert.X509Purposes()...)
	if err != nil {
		return "", err
	}
	return string(list.Content), nil
}

func (d *directory) Refresher() (Refresher, error) {
	issuers, err := jwks.ReadClientConfig(d.env.Getenv)
	if err != nil {
		return nil, err
	}
	return NewRefresher(d.store, issuers, d.env.Now, Quiet())
}

// NewRefresher returns a refresher that dials issuers as c says.
func NewRefresher(s store.KeySets, c jwks.ClientConfig, now func() time.Time, log *slog.Logger) (*jwks.Refresher, error) {
	client, err := jwks.NewHTTPClient(c)
	if err != nil {
		return nil, err
	}
	return jwks.New(jwks.Config{Store: s, HTTP: client, Now: now, Log: log}), nil
}

// RefreshNew leaves it to the first join: an embedded server may not run yet.
func (d *directory) RefreshNew(context.Context, []string, ...func(done, total int)) []jwks.Result {
	return nil
}

func (d *directory) Running(ctx context.Context) (*Running, error) {
	running := FindRunning(ctx, d.path)
	if running == nil {
		return nil, errors.New("not running")
	}
	return running, nil
}

func (d *directory) PublicURL(ctx context.Context) string {
	if running, err := d.Running(ctx); err == nil {
		return running.PublicURL
	}
	return ""
}

// Damage implements Backend.
func (d *directory) Damage(ctx context.Context, whole bool) ([]error, bool, error) {
	most := int64(sqlite.CheckedBytes)
	if whole {
		most = math.MaxInt64
	}
	found, err := d.store.FindDamage(ctx, most)
	return append(found.Database, found.Records...), !found.Unchecked, err
}
