package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// Certificates stores the certificates of X.509 authorities. key is the id of a KMS
// key that a rotation made, and empty for the one that the authority began with.
type Certificates interface {
	// Certificate returns the stored certificate (PEM) of an X.509 authority;
	// store.ErrNotFound if there is none.
	Certificate(ctx context.Context, p cert.Purpose, key string) (string, error)
	// PutCertificate stores pem unless a certificate is stored, and returns the one
	// that is stored then.
	PutCertificate(ctx context.Context, p cert.Purpose, key, pem string) (string, error)
}

// Config is what Authorities are made of. Client, Keys and Certificates are required.
type Config struct {
	Client *awskms.Client
	// Keys are the KMS keys, by id or ARN, of the authorities that there are. A
	// purpose without one, or with an empty one, has no authority.
	Keys         map[cert.Purpose]string
	Certificates Certificates
	// Rotated says which keys took the place of Keys since; nil means that none did.
	Rotated authority.Reader
	// CacheFor is how long what it says is gone by; 0 means authority.CacheFor.
	CacheFor time.Duration
	// LeaveOut, if set, has a key that does not sign left out of those to trust as long
	// as KMS does not let us read it, and is told of that. So a new key whose policy or
	// tags KMS does not go by yet, or an old one that somebody disabled, refuses no
	// join. If it is nil such a key is an error.
	LeaveOut func(p cert.Purpose, key string, cause error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Authorities are the authorities of a deployment. It is safe for concurrent use.
type Authorities struct {
	c     Config
	once  sync.Once // of begin
	early atomic.Pointer[early]

	mu      sync.Mutex
	ready   map[slot]*loaded
	rotated map[cert.Purpose]authority.State
	readAt  time.Time          // when rotated was asked for; zero if it never was
	leftOut map[slot]time.Time // since when
}

var _ authority.Authorities = (*Authorities)(nil)

// slot is one key of one authority.
type slot struct {
	purpose cert.Purpose
	key     string // KMS key, by id or ARN
}

// loaded is what does not change of a key while the process runs.
type loaded struct {
	public      *ecdsa.PublicKey
	certificate *x509.Certificate // of an X.509 authority
}

// New returns Authorities. It makes no call.
func New(c Config) *Authorities {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.CacheFor == 0 {
		c.CacheFor = authority.CacheFor
	}
	return &Authorities{c: c, ready: map[slot]*loaded{}, leftOut: map[slot]time.Time{}}
}

// Prepare implements authority.Authorities. The first time it also begins to read the keys
// themselves, without waiting for them.
func (a *Authorities) Prepare(ctx context.Context) {
	a.once.Do(func() { a.begin(ctx) })
	_, _ = a.current(ctx) // what it could not read Authority reads, and tells of
}

// Authority returns the authority of a purpose, whose signer works until ctx
// ends; authority.ErrNone if this deployment has none. The first call reads all
// authorities at once. What could not be read then is read by the next call.
func (a *Authorities) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	if a.c.Keys[p] == "" {
		return nil, fmt.Errorf("authority %s: %w", p, authority.ErrNone)
	}
	rotated, err := a.current(ctx)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", p, err)
	}
	keys, err := a.keys(p, rotated)
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", p, err)
	}
	if !a.allReady(keys) {
		a.await(ctx, keysPart)
		if err := a.load(ctx, rotated)[p]; err != nil {
			return nil, fmt.Errorf("authority %s: %w", p, err)
		}
	}
	bound := &authority.Authority{Purpose: p}
	for _, k := range keys {
		found := a.get(k.slot)
		if found == nil { // left out
			continue
		}
		bound.Add(k.signs, &signer{ctx: ctx, client: a.c.Client, key: k.key, public: found.public}, found.certificate)
	}
	return bound, nil
}

func (a *Authorities) get(s slot) *loaded {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready[s]
}

func (a *Authorities) allReady(keys []wanted) bool {
	return !slices.ContainsFunc(keys, func(k wanted) bool { return a.get(k.slot) == nil && !a.isLeftOut(k) })
}

// load reads every key that is not ready, all at the same time, and returns what
// went wrong by purpose. Two loads at once do the same work twice, and end with the
// same authorities.
func (a *Authorities) load(ctx context.Context, rotated map[cert.Purpose]authority.State) map[cert.Purpose]error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	errs := map[cert.Purpose]error{}
	fail := func(p cert.Purpose, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs[p] = errors.Join(errs[p], err)
	}
	for p, first := range a.c.Keys {
		if first == "" {
			continue
		}
		keys, err := a.keys(p, rotated)
		if err != nil {
			fail(p, err)
		}
		for _, k := range keys {
			if a.get(k.slot) != nil || a.isLeftOut(k) {
				continue
			}
			wg.Go(func() {
				key, err := a.read(ctx, k)
				if err != nil && a.leaveOut(k, err) {
					return
				}
				if err != nil {
					fail(p, err)
					return
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				a.ready[k.slot] = key
			})
		}
	}
	wg.Wait()
	return errs
}

// read reads one key and checks it.
func (a *Authorities) read(ctx context.Context, k wanted) (*loaded, error) {
	f, ok := a.take(k)
	if !ok {
		f = a.fetch(ctx, k)
	}
	public, pem, pemErr := f.public, f.pem, f.pemErr
	switch {
	case f.keyErr != nil:
		return nil, f.keyErr
	case k.stored != nil && !k.stored.Is(public):
		return nil, fmt.Errorf("KMS key %s has another public half than is stored of it in the table Resources; see docs/rotation.md", k.key)
	case !k.purpose.IsX509():
		return &loaded{public: public}, nil
	case errors.Is(pemErr, store.ErrNotFound):
		pem, pemErr = a.makeCertificate(ctx, k, public)
	}
	if pemErr != nil {
		return nil, fmt.Errorf("its certificate: %w", pemErr)
	}
	c, err := cert.ParseX509Authority(pem, public, k.purpose)
	if err != nil {
		return nil, fmt.Errorf("its stored certificate: %w; if the KMS key of this authority was changed, change it back, or remove the stored certificate to have one made that no server trusts yet", err)
	}
	return &loaded{public: public, certificate: c}, nil
}

// makeCertificate makes the certificate of a key and returns the one that is stored
// then: of several that are made at once the first stands.
func (a *Authorities) makeCertificate(ctx context.Context, k wanted, public *ecdsa.PublicKey) (string, error) {
	s := &signer{ctx: ctx, client: a.c.Client, key: k.key, public: public}
	made, err := cert.NewX509Authority(rand.Reader, s, k.purpose, a.c.Now())
	if err != nil {
		return "", err
	}
	return a.c.Certificates.PutCertificate(ctx, k.purpose, k.certificate, cert.CertificatePEM(made))
}
