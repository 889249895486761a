package authority

import (
	"context"
	"crypto"
	"crypto/sha256"
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

// List is a list as servers fetch it. It is made once for what was revoked, and not to be changed.
type List struct {
	Content []byte
	// Tag is an entity tag of the content, with its quotes (RFC 9110 §8.8.3).
	Tag string
}

func newList(content []byte) *List {
	return &List{content, fmt.Sprintf(`"%x"`, sha256.Sum256(content))}
}

// Lists makes the lists that servers fetch. It is safe for concurrent use: however
// many ask, the store is read every ten seconds, and a list is made when it has changed
// or is an hour old.
type Lists struct {
	c ListsConfig
	// Each semaphore lets one in at a time, to what stands below it. Who waits gives up
	// when its context ends.
	reading *semaphore.Weighted
	read    []store.Revocation
	readAt  time.Time
	entries map[cert.Purpose]listed // of what was read
	krl     *List                   // of what was read; nil if it is not made

	signing *semaphore.Weighted
	signed  map[string]signedCRL // by the authority's certificate
	crls    map[string]joined    // by the purposes
}

// listed are the entries of one authority's list.
type listed struct {
	entries []Revoked
	at      time.Time // when they were found
}

// joined are CRLs, one after another.
type joined struct {
	of   []string
	list *List
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
	return &Lists{
		c: c, reading: semaphore.NewWeighted(1), signing: semaphore.NewWeighted(1),
		entries: map[cert.Purpose]listed{}, signed: map[string]signedCRL{}, crls: map[string]joined{},
	}
}

// KRL returns the list of the SSH user certificates that are revoked. It needs no
// key. Its error is ErrRevocations, or the context's.
func (l *Lists) KRL(ctx context.Context) (*List, error) {
	if err := l.reading.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer l.reading.Release(1)
	found, made, err := l.current(ctx, cert.SSHUser)
	if err != nil {
		return nil, err
	}
	if made || l.krl == nil {
		serials := make([]uint64, len(found.entries))
		for i, e := range found.entries {
			serials[i] = e.Serial.Uint64()
		}
		l.krl = newList(KRL(serials, number(found.at).Uint64(), found.at))
	}
	return l.krl, nil
}

// CRL returns the CRLs of these X.509 authorities, one after another, in PEM, of
// each key of theirs that servers trust and that can still sign. Authorities that
// this deployment lacks are passed over; if it has none of them the error is
// ErrNone.
func (l *Lists) CRL(ctx context.Context, purposes ...cert.Purpose) (*List, error) {
	if err := l.signing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer l.signing.Release(1)
	l.c.Authorities.Prepare(ctx)
	all, err := All(ctx, l.c.Authorities, purposes...)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("X.509 authorities: %w", ErrNone)
	}
	var signed []string
	for _, a := range all {
		entries, err := l.entriesOf(ctx, a.Purpose)
		if err != nil {
			return nil, err
		}
		if signed, err = l.sign(signed, a, entries, l.c.Now()); err != nil {
			return nil, fmt.Errorf("authority %s: %w", a.Purpose, err)
		}
	}
	if len(signed) == 0 {
		return nil, errors.New("no key of these authorities can sign")
	}
	key := fmt.Sprint(purposes)
	if last, ok := l.crls[key]; ok && slices.Equal(last.of, signed) {
		return last.list, nil
	}
	list := newList([]byte(strings.Join(signed, "")))
	l.crls[key] = joined{signed, list}
	return list, nil
}

// sign adds the CRLs of one authority to those that are there.
func (l *Lists) sign(to []string, a *Authority, entries []Revoked, now time.Time) ([]string, error) {
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
				return nil, err
			}
			last = signedCRL{text: text, serials: serialsOf(entries), at: now}
			l.signed[string(issuer.Raw)] = last
		}
		to = append(to, last.text)
	}
	return to, nil
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

// entriesOf returns what is revoked of one authority.
func (l *Lists) entriesOf(ctx context.Context, p cert.Purpose) ([]Revoked, error) {
	if err := l.reading.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer l.reading.Release(1)
	found, _, err := l.current(ctx, p)
	return found.entries, err
}

// current finds what is revoked of one authority, and reports whether it looked again: if
// something else was read, or an hour has passed, in which certificates have expired.
func (l *Lists) current(ctx context.Context, p cert.Purpose) (found listed, made bool, err error) {
	now := l.c.Now()
	// By wall time, since Go's monotonic clock may stand still while a machine sleeps.
	if l.readAt.IsZero() || now.Round(0).Sub(l.readAt.Round(0)).Abs() >= l.c.MaxAge {
		read, err := l.c.Revocations.Revocations(ctx)
		if err != nil {
			return listed{}, false, fmt.Errorf("%w: %w", ErrRevocations, err)
		}
		if !slices.EqualFunc(l.read, read, sameRevocation) {
			clear(l.entries)
		}
		l.read, l.readAt = read, now
	}
	if found, ok := l.entries[p]; ok && now.Round(0).Sub(found.at.Round(0)).Abs() < signAgain {
		return found, false, nil
	}
	entries, err := RevokedOf(l.read, p, now)
	if err != nil {
		return listed{}, false, fmt.Errorf("%w: %w", ErrRevocations, err)
	}
	l.entries[p] = listed{entries, now}
	return l.entries[p], true, nil
}

// sameRevocation reports whether two revocations put the same into the lists.
func sameRevocation(a, b store.Revocation) bool {
	return a.ID == b.ID && a.At.Equal(b.At) && slices.EqualFunc(a.Certificates, b.Certificates, func(x, y store.RevokedCertificate) bool {
		return x.Authority == y.Authority && x.Serial == y.Serial && x.ExpiresAt.Equal(y.ExpiresAt)
	})
}

// number is that of a list: milliseconds since 1970, so that it grows whichever
// instance makes the list.
func number(now time.Time) *big.Int { return big.NewInt(now.UnixMilli()) }
