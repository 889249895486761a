package authority

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

	"golang.org/x/sync/semaphore"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	// ListsMaxAge is how long what was read is used, unless ListsConfig says
	// otherwise: a revocation reaches every list within it.
	ListsMaxAge = 10 * time.Second
	// signAgain is when a CRL is signed again although nothing was revoked, so that
	// one that is fetched is good for nearly all of CRLValidity.
	signAgain = time.Hour
)

// ErrRevocations says that the revocations could not be read.
var ErrRevocations = errors.New("reading the revocations")

// ListsConfig is what Lists are made of. All fields are required save where it says otherwise.
type ListsConfig struct {
	Revocations store.RevocationReader
	Authorities Authorities // for CRLs alone
	// Now and Rand are used by several goroutines at once.
	Now  func() time.Time
	Rand io.Reader
	// MaxAge is how long what was read is used; 0 means ListsMaxAge.
	MaxAge time.Duration
}

// Lists makes the lists that servers fetch. It is safe for concurrent use: however
// many ask, the store is read every ten seconds and a CRL signed when it has changed.
type Lists struct {
	c ListsConfig
	// Each semaphore lets one in at a time, to what stands below it. Who waits gives up
	// when its context ends.
	reading *semaphore.Weighted
	read    []store.Revocation
	readAt  time.Time

	signing *semaphore.Weighted
	signed  map[string]signedCRL // by the authority's certificate
}

type signedCRL struct {
	text    string
	serials []*big.Int
	at      time.Time
}

// NewLists returns Lists. It makes no call.
func NewLists(c ListsConfig) *Lists {
	if c.MaxAge == 0 {
		c.MaxAge = ListsMaxAge
	}
	return &Lists{c: c, reading: semaphore.NewWeighted(1), signing: semaphore.NewWeighted(1), signed: map[string]signedCRL{}}
}

// KRL returns the list of the SSH user certificates that are revoked. It needs no
// key. Its error is ErrRevocations, or the context's.
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
// ErrNone.
func (l *Lists) CRL(ctx context.Context, purposes ...cert.Purpose) (string, error) {
	if err := l.signing.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer l.signing.Release(1)
	l.c.Authorities.Prepare(ctx)
	all, err := All(ctx, l.c.Authorities, purposes...)
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", fmt.Errorf("X.509 authorities: %w", ErrNone)
	}
	var b strings.Builder
	for _, a := range all {
		entries, now, err := l.current(ctx, a.Purpose)
		if err != nil {
			return "", err
		}
		if err := l.sign(&b, a, entries, now); err != nil {
			return "", fmt.Errorf("authority %s: %w", a.Purpose, err)
		}
	}
	if b.Len() == 0 {
		return "", errors.New("no key of these authorities can sign")
	}
	return b.String(), nil
}

// sign writes the CRLs of one authority.
func (l *Lists) sign(to *strings.Builder, a *Authority, entries []Revoked, now time.Time) error {
	for _, issuer := range a.TrustedCertificates {
		signer := signerFor(a, issuer)
		if signer == nil {
			continue // a server that wants a CRL of every authority refuses what it signed
		}
		last, ok := l.signed[string(issuer.Raw)]
		same := ok && now.Sub(last.at).Abs() < signAgain &&
			slices.EqualFunc(last.serials, entries, func(s *big.Int, e Revoked) bool { return s.Cmp(e.Serial) == 0 })
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
func signerFor(a *Authority, issuer *x509.Certificate) crypto.Signer {
	for _, s := range append([]crypto.Signer{a.Signer}, a.OtherSigners...) {
		if key, ok := issuer.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); ok && s != nil && key.Equal(s.Public()) {
			return s
		}
	}
	return nil
}

// current returns what is revoked of one authority.
func (l *Lists) current(ctx context.Context, p cert.Purpose) ([]Revoked, time.Time, error) {
	if err := l.reading.Acquire(ctx, 1); err != nil {
		return nil, time.Time{}, err
	}
	defer l.reading.Release(1)
	now := l.c.Now()
	// By wall time, since Go's monotonic clock may stand still while a machine sleeps.
	if l.readAt.IsZero() || now.Round(0).Sub(l.readAt.Round(0)).Abs() >= l.c.MaxAge {
		read, err := l.c.Revocations.Revocations(ctx)
		if err != nil {
			return nil, now, fmt.Errorf("%w: %w", ErrRevocations, err)
		}
		l.read, l.readAt = read, now
	}
	entries, err := RevokedOf(l.read, p, now)
	if err != nil {
		return nil, now, fmt.Errorf("%w: %w", ErrRevocations, err)
	}
	return entries, now, nil
}

// number is that of a list: milliseconds since 1970, so that it grows whichever
// instance makes the list.
func number(now time.Time) *big.Int { return big.NewInt(now.UnixMilli()) }
