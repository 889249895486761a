package authority

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// KeepRevoked is how long a certificate stays in the lists after it has ended, for servers
// whose clock lags.
const KeepRevoked = time.Hour

// How many certificates a list may have: the KRL, and the CRLs of all X.509 authorities
// together. A KRL of so many is 1.6 MB, which sshd reads at each login in 0.3 s; CRLs of
// so many are 2.4 MB. Lambda answers 6 MB at most, Base64 included.
const (
	MaxRevokedSSH  = 200_000
	MaxRevokedX509 = 50_000
)

// ErrTooManyRevoked says that a list cannot have so many certificates.
var ErrTooManyRevoked = errors.New("too many certificates are revoked")

// Revoked is one certificate in the list of an authority.
type Revoked struct {
	Serial *big.Int
	At     time.Time // of the revocation
}

// RevokedOf returns the certificates of one authority that are in the lists at now,
// each once, by serial.
func RevokedOf(all []store.Revocation, p cert.Purpose, now time.Time) ([]Revoked, error) {
	var entries []Revoked
	for _, r := range all {
		for _, c := range r.Certificates {
			if c.Authority != p || ended(c, now) {
				continue
			}
			serial, err := ParseSerial(c.Authority, c.Serial)
			if err != nil {
				return nil, invalid(r, err)
			}
			entries = append(entries, Revoked{Serial: serial, At: r.At})
		}
	}
	slices.SortFunc(entries, func(x, y Revoked) int { return cmp.Or(x.Serial.Cmp(y.Serial), x.At.Compare(y.At)) })
	entries = slices.CompactFunc(entries, func(x, y Revoked) bool { return x.Serial.Cmp(y.Serial) == 0 })
	// What Fit let in at the same time for several administrators is still a list.
	if most := 2 * listOf(p).most(); len(entries) > most {
		return nil, fmt.Errorf("%w: %d of %s, and a list has at most %d", ErrTooManyRevoked, len(entries), p, most)
	}
	return entries, nil
}

// ended reports whether the lists pass over a certificate.
func ended(c store.RevokedCertificate, now time.Time) bool {
	return now.After(c.ExpiresAt.Add(KeepRevoked))
}

func invalid(r store.Revocation, err error) error {
	return fmt.Errorf("the revocation %s is stored but not valid: %w", r.ID, err)
}

// ParseSerial reads a serial as records have it: decimal for SSH, hexadecimal for
// X.509. Certificates of other authorities cannot be revoked.
func ParseSerial(p cert.Purpose, text string) (*big.Int, error) {
	switch {
	case p == cert.SSHUser:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("the serial %q of an SSH certificate is no number from 1 to 2^64-1", text)
		}
		return new(big.Int).SetUint64(n), nil
	case p.IsX509():
		const maxHex = 40 // RFC 5280 §4.1.2.2: 20 octets
		n, ok := new(big.Int).SetString(text, 16)
		if !ok || n.Sign() <= 0 || len(text) > maxHex {
			return nil, fmt.Errorf("the serial %q of an X.509 certificate is no hexadecimal number of up to %d digits", text, maxHex)
		}
		return n, nil
	}
	return nil, fmt.Errorf("there is no list of revoked certificates of the authority %q", p)
}
