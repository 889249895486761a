package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
)

// Certificates stores the certificates of X.509 authorities.
type Certificates interface {
	// Certificate returns the stored certificate (PEM) of an X.509 authority;
	// join.ErrNotFound if there is none.
	Certificate(ctx context.Context, p cert.Purpose) (string, error)
	// PutCertificate stores pem unless a certificate is stored, and returns the one
	// that is stored then.
	PutCertificate(ctx context.Context, p cert.Purpose, pem string) (string, error)
}

// Config is what Authorities are made of. Client, Keys and Certificates are required.
type Config struct {
	Client Client
	// Keys are the KMS keys, by id or ARN, of the authorities that there are. A
	// purpose without one, or with an empty one, has no authority.
	Keys         map[cert.Purpose]string
	Certificates Certificates
	// Now is the clock for new certificates; nil means time.Now.
	Now func() time.Time
	// Rand is the source of their serials; nil means crypto/rand.
	Rand io.Reader
}

// Authorities are the authorities of a deployment. It is safe for concurrent use.
type Authorities struct {
	c Config

	mu    sync.Mutex
	ready map[cert.Purpose]*authority
}

var _ join.Authorities = (*Authorities)(nil)

// authority is what does not change of an authority while the process runs.
type authority struct {
	key         string
	public      *ecdsa.PublicKey
	certificate *x509.Certificate // of an X.509 authority
}

// New returns Authorities. It makes no call.
func New(c Config) *Authorities {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Authorities{c: c, ready: map[cert.Purpose]*authority{}}
}

// Authority returns the authority of a purpose, whose signer works until ctx
// ends; join.ErrNotFound if this deployment has none. The first call reads all
// authorities at once. What could not be read then is read by the next call.
func (a *Authorities) Authority(ctx context.Context, p cert.Purpose) (*join.Authority, error) {
	if a.c.Keys[p] == "" {
		return nil, fmt.Errorf("authority %s: %w", p, join.ErrNotFound)
	}
	found := a.get(p)
	if found == nil {
		if err := a.load(ctx)[p]; err != nil {
			return nil, fmt.Errorf("authority %s: %w", p, err)
		}
		found = a.get(p)
	}
	bound := &join.Authority{
		Purpose:     p,
		Signer:      &signer{ctx: ctx, client: a.c.Client, key: found.key, public: found.public},
		TrustedKeys: []crypto.PublicKey{found.public},
	}
	if found.certificate != nil {
		bound.Certificate = found.certificate
		bound.TrustedCertificates = []*x509.Certificate{found.certificate}
	}
	return bound, nil
}

func (a *Authorities) get(p cert.Purpose) *authority {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready[p]
}

// load reads every authority that is not ready, all at the same time, and returns
// what went wrong by purpose. Two loads at once do the same work twice, and end
// with the same authorities.
func (a *Authorities) load(ctx context.Context) map[cert.Purpose]error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	errs := map[cert.Purpose]error{}
	for p, key := range a.c.Keys {
		if key == "" || a.get(p) != nil {
			continue
		}
		wg.Go(func() {
			loaded, err := a.read(ctx, p, key)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs[p] = err
				return
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			a.ready[p] = loaded
		})
	}
	wg.Wait()
	return errs
}

// read reads one authority: the public key and, at the same time, the certificate.
func (a *Authorities) read(ctx context.Context, p cert.Purpose, key string) (*authority, error) {
	var (
		wg             sync.WaitGroup
		public         *ecdsa.PublicKey
		pem            string
		keyErr, pemErr error
	)
	wg.Go(func() { public, keyErr = publicKey(ctx, a.c.Client, key) })
	if p.IsX509() {
		wg.Go(func() { pem, pemErr = a.c.Certificates.Certificate(ctx, p) })
	}
	wg.Wait()
	switch {
	case keyErr != nil:
		return nil, keyErr
	case !p.IsX509():
		return &authority{key: key, public: public}, nil
	case errors.Is(pemErr, join.ErrNotFound):
		pem, pemErr = a.makeCertificate(ctx, p, key, public)
	}
	if pemErr != nil {
		return nil, fmt.Errorf("its certificate: %w", pemErr)
	}
	c, err := cert.ParseCertificatePEM(pem)
	if err == nil {
		err = cert.CheckX509Authority(c, public, p)
	}
	if err != nil {
		return nil, fmt.Errorf("its stored certificate: %w; if the KMS key of this authority was changed, change it back, or remove the stored certificate to have one made that no server trusts yet", err)
	}
	return &authority{key: key, public: public, certificate: c}, nil
}

// makeCertificate makes the certificate of an authority and returns the one that
// is stored then: of several that are made at once the first stands.
func (a *Authorities) makeCertificate(ctx context.Context, p cert.Purpose, key string, public *ecdsa.PublicKey) (string, error) {
	s := &signer{ctx: ctx, client: a.c.Client, key: key, public: public}
	made, err := cert.NewX509Authority(a.c.Rand, s, p, a.c.Now())
	if err != nil {
		return "", err
	}
	return a.c.Certificates.PutCertificate(ctx, p, cert.CertificatePEM(made))
}
