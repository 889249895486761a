package revoke

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	// MaxAge is how long what was read is used, unless Config says otherwise: a
	// revocation reaches every list within it.
	MaxAge = 10 * time.Second
	// signAgain is when a CRL is signed again although nothing was revoked, so that
	// one that is fetched is good for nearly all of CRLValidity.
	signAgain = time.Hour
)

// ErrStore says that the revocations could not be read.
var ErrStore = errors.New("reading the revocations")

// Config is what Lists are made of. All fields are required save where it says otherwise.
type Config struct {
	Revocations store.RevocationReader
	Authorities join.Authorities // for CRLs alone
	// Now and Rand are used by several goroutines at once.
	Now  func() time.Time
	Rand io.Reader
	// MaxAge is how long what was read is used; 0 means the constant MaxAge.
	MaxAge time.Duration
}

// Lists makes the lists that servers fetch. It is safe for concurrent use: however
// many ask, the store is read every ten seconds and a CRL signed when it has changed.
type Lists struct {
	c Config
	// A gate is taken by who reads or writes what stands below it.
	reading gate
	read    []store.Revocation
	readAt  time.Time

	signing gate
	signed  map[string]signedCRL // by the authority's certificate
}

type signedCRL struct {
	text    string
	serials []*big.Int
	at      time.Time
}

// New returns Lists. It makes no call.
func New(c Config) *Lists {
	if c.MaxAge == 0 {
		c.MaxAge = MaxAge
	}
	return &Lists{c: c, reading: newGate(), signing: newGate(), signed: map[string]signedCRL{}}
}

// KRL returns the list of the SSH user certificates that are revoked. It needs no
// key. Its error is ErrStore, or the context's.
func (l *Lists) KRL(ctx context.Context) ([]byte, error) {
	entries, now, err := l.current(ctx, cert.SSHUser)
	if err != nil {
		return nil, err
	}
	serials := make([]uint64, len(entries))
	for i, e := range entries {
		serials[i] = e.Serial.Uint64()
	}
	return KRL(serials, number(now).Uint64(), now), nil
}

// CRL returns the CRLs of these X.509 authorities, one after another, in PEM, of
// each key of theirs that servers trust and that can still sign. Authorities that
// this deployment lacks are passed over; if it has none of them the error is
// store.ErrNotFound.
func (l *Lists) CRL(ctx context.Context, purposes ...cert.Purpose) (string, error) {
	if err := l.signing.enter(ctx); err != nil {
		return "", err
	}
	defer l.signing.leave()
	var b strings.Builder
	found := false
	l.prepare(ctx)
	for _, p := range purposes {
		authority, err := l.c.Authorities.Authority(ctx, p)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("authority %s: %w", p, err)
		}
		found = true
		entries, now, err := l.current(ctx, p)
		if err != nil {
			return "", err
		}
		if err := l.sign(&b, authority, entries, now); err != nil {
			return "", fmt.Errorf("authority %s: %w", p, err)
		}
	}
	switch {
	case !found:
		return "", fmt.Errorf("X.509 authorities: %w", store.ErrNotFound)
	case b.Len() == 0:
		return "", errors.New("no key of these authorities can sign")
	}
	return b.String(), nil
}

// prepare has the authorities look whether their keys have changed.
func (l *Lists) prepare(ctx context.Context) {
	if p, ok := l.c.Authorities.(join.Preparer); ok {
		p.Prepare(ctx)
	}
}

// sign writes the CRLs of one authority.
func (l *Lists) sign(to *strings.Builder, authority *join.Authority, entries []Entry, now time.Time) error {
	for _, issuer := range authority.TrustedCertificates {
		signer := signerFor(authority, issuer)
		if signer == nil {
			continue // a server that wants a CRL of every authority refuses what it signed
		}
		last, ok := l.signed[string(issuer.Raw)]
		same := ok && now.Sub(last.at).Abs() < signAgain &&
			slices.EqualFunc(last.serials, entries, func(s *big.Int, e Entry) bool { return s.Cmp(e.Serial) == 0 })
		if !same {
			text, err := CRL(l.c.Rand, issuer, signer, entries, number(now), now)
			if err != nil {
				return err
			}
			last = signedCRL{text: text, serials: serialsOf(entries), at: now}
			l.signed[string(issuer.Raw)] = last
		}
		to.WriteString(last.text)
	}
	return nil
}

// signerFor returns the signer of an authority's certificate; nil if there is none.
func signerFor(a *join.Authority, issuer *x509.Certificate) crypto.Signer {
	for _, s := range append([]crypto.Signer{a.Signer}, a.OtherSigners...) {
		if key, ok := issuer.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && s != nil && key.Equal(s.Public()) {
			return s
		}
	}
	return nil
}

// current returns what is revoked of one authority.
func (l *Lists) current(ctx context.Context, p cert.Purpose) ([]Entry, time.Time, error) {
	if err := l.reading.enter(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer l.reading.leave()
	now := l.c.Now()
	// By wall time, since Go's monotonic clock may stand still while a machine sleeps.
	if l.readAt.IsZero() || now.Round(0).Sub(l.readAt.Round(0)).Abs() >= l.c.MaxAge {
		read, err := l.c.Revocations.Revocations(ctx)
		if err != nil {
			return nil, now, fmt.Errorf("%w: %w", ErrStore, err)
		}
		l.read, l.readAt = read, now
	}
	entries, err := Current(l.read, p, now)
	if err != nil {
		return nil, now, fmt.Errorf("%w: %w", ErrStore, err)
	}
	return entries, now, nil
}

// number is that of a list: milliseconds since 1970, so that it grows whichever
// instance makes the list.
func number(now time.Time) *big.Int { return big.NewInt(now.UnixMilli()) }

// gate lets one in at a time. Who waits gives up when its context ends.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }
