package authority

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// lag is by how much a server's clock may lag: it still takes what ended so long ago.
const lag = 5 * time.Minute

// Issued is what joins issued that may still be accepted.
type Issued struct {
	// Revocations are of one join and its retries each, and lack who, when and why.
	Revocations []store.Revocation
	// JWTs that are still valid cannot be revoked.
	JWTs      int
	JWTsUntil time.Time
	// Damaged records may have certificates that are not among those.
	Damaged []*store.DamagedError

	added map[issuedSerial]bool
}

// issuedSerial is a credential: its retries have the same.
type issuedSerial struct {
	authority cert.Purpose
	serial    string
}

// Certificates counts what can be revoked, by authority.
func (i Issued) Certificates() map[cert.Purpose]int {
	count := map[cert.Purpose]int{}
	for _, r := range i.Revocations {
		for _, c := range r.Certificates {
			count[c.Authority]++
		}
	}
	return count
}

// ValidOf gathers what the joins that fit q issued, q's times and outcome aside: no
// credential lives longer than cert.MaxTTL, so records are read no further back.
func ValidOf(ctx context.Context, records store.Records, q store.Query, now time.Time) (Issued, error) {
	q.Since, q.Until, q.Code = now.Add(-cert.MaxTTL-2*lag), time.Time{}, store.CodeOK
	var issued Issued
	for r, err := range records.Joins(ctx, q) {
		if d, ok := errors.AsType[*store.DamagedError](err); ok {
			issued.Damaged = append(issued.Damaged, d)
			continue
		}
		if err != nil {
			return Issued{}, err
		}
		issued.Add(r, now)
	}
	return issued, nil
}

// OfJoin gathers what the join of a record issued. If the record is that of a refusal, a
// retry of the join may have been given what it was refused: a signature had failed.
func OfJoin(ctx context.Context, records store.Records, r store.Record, now time.Time) (issued Issued, err error) {
	issued.Add(r, now)
	if r.Code == store.CodeOK || r.Digest == "" {
		return issued, nil
	}
	all, err := ValidOf(ctx, records, store.Query{Bot: r.Bot, Token: r.Token}, now)
	if err != nil {
		return issued, err
	}
	issued.Damaged = all.Damaged
	for _, one := range all.Revocations {
		if one.JoinID == r.JoinID {
			issued.Revocations = append(issued.Revocations, one)
		}
	}
	return issued, nil
}

// Add adds what a join issued. A retry issued what the join did that it repeats, by whose
// id that is known.
func (i *Issued) Add(r store.Record, now time.Time) {
	if i.added == nil {
		i.added = map[issuedSerial]bool{}
	}
	first := cmp.Or(r.RetryOf, r.JoinID)
	one := store.Revocation{ID: first, JoinID: first, Bot: r.Bot, Token: r.Token}
	for _, c := range r.Credentials {
		p := SignerOf(c.Type, c.Usage)
		known := issuedSerial{p, c.Serial}
		if i.added[known] {
			continue
		}
		i.added[known] = true
		switch {
		case now.After(c.ExpiresAt.Add(lag)):
		case p == cert.JWT:
			i.JWTs++
			if c.ExpiresAt.After(i.JWTsUntil) {
				i.JWTsUntil = c.ExpiresAt
			}
		default:
			one.Certificates = append(one.Certificates, store.RevokedCertificate{Authority: p, Serial: c.Serial, ExpiresAt: c.ExpiresAt})
		}
	}
	if len(one.Certificates) > 0 {
		i.Revocations = append(i.Revocations, one)
	}
}

// BySerial is the revocation of one certificate, of the join that a record tells of
// it. Without a record, found is false and it is revoked for as long as any
// certificate can live.
func BySerial(ctx context.Context, records store.Records, p cert.Purpose, text string, now time.Time) (r store.Revocation, found bool, err error) {
	serial, err := ParseSerial(p, strings.ToLower(strings.ReplaceAll(text, ":", ""))) // as openssl x509 -text shows it
	if err != nil {
		return r, false, err
	}
	base := 16
	if p == cert.SSHUser {
		base = 10
	}
	number := serial.Text(base)
	r = store.Revocation{ID: fmt.Sprintf("%s.%s", p, number)}
	c := store.RevokedCertificate{Authority: p, Serial: number, ExpiresAt: now.Add(cert.MaxTTL)}
	issued, err := ValidOf(ctx, records, store.Query{}, now)
	if err != nil {
		return r, false, err
	}
	for _, one := range issued.Revocations {
		for _, known := range one.Certificates {
			if known.Authority == p && known.Serial == number {
				r.JoinID, r.Bot, r.Token, c, found = one.JoinID, one.Bot, one.Token, known, true
			}
		}
	}
	r.Certificates = []store.RevokedCertificate{c}
	return r, found, nil
}
