package authority

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

const (
	crlType = "X509 CRL" // RFC 7468 §6
	// CRLValidity is how long servers take a CRL. No certificate lives longer than
	// half of it, so that a CRL this old says nothing any more; a host whose fetching
	// fails has a day until its server refuses everybody.
	CRLValidity = 24 * time.Hour
	// backdate lets hosts whose clock lags take a new list, as far as they take a
	// new certificate.
	backdate = time.Minute
)

// CRL returns the CRL (RFC 5280 §5) of one authority, one PEM block, signed by its
// key, read again and checked. number grows with time.
func CRL(rand io.Reader, issuer *x509.Certificate, signer crypto.Signer, entries []Revoked, number *big.Int, now time.Time) (string, error) {
	template := &x509.RevocationList{
		Number:     number,
		ThisUpdate: now.UTC().Truncate(time.Second).Add(-backdate),
		NextUpdate: now.UTC().Truncate(time.Second).Add(CRLValidity),
	}
	for _, e := range entries {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: e.Serial, RevocationTime: e.At.UTC().Truncate(time.Second),
		})
	}
	der, err := x509.CreateRevocationList(rand, template, issuer, signer)
	if err != nil {
		return "", fmt.Errorf("signing the CRL of %q: %w", issuer.Subject.CommonName, err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: crlType, Bytes: der}))
	if err := CheckCRL(text, []*x509.Certificate{issuer}, serialsOf(entries), now); err != nil {
		return "", fmt.Errorf("the CRL that was made: %w", err)
	}
	return text, nil
}

func serialsOf(entries []Revoked) []*big.Int {
	all := make([]*big.Int, len(entries))
	for i, e := range entries {
		all[i] = e.Serial
	}
	return all
}

// ErrIncomplete says that a CRL does not have all that was revoked.
var ErrIncomplete = errors.New("it lacks what was revoked")

// CheckCRL checks that text is one CRL of each of issuers and of nobody else, in
// PEM, signed by them and current, and that together they have all serials:
// ErrIncomplete if they have not.
func CheckCRL(text string, issuers []*x509.Certificate, serials []*big.Int, now time.Time) error {
	has := map[string]bool{}
	left := map[*x509.Certificate]bool{}
	for _, issuer := range issuers {
		left[issuer] = true
	}
	for rest := []byte(text); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != crlType {
			return errors.New("it is not CRLs in PEM")
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return fmt.Errorf("it is no CRL: %w", err)
		}
		issuer := signerOf(list, left)
		if issuer == nil {
			return fmt.Errorf("the CRL of %q is not signed by an authority that it should be of", list.Issuer.CommonName)
		}
		delete(left, issuer)
		if now.Before(list.ThisUpdate) || !now.Before(list.NextUpdate) {
			return fmt.Errorf("the CRL of %q is for %s until %s, not for now", list.Issuer.CommonName,
				list.ThisUpdate.Format(time.RFC3339), list.NextUpdate.Format(time.RFC3339))
		}
		for _, e := range list.RevokedCertificateEntries {
			has[e.SerialNumber.Text(16)] = true
		}
	}
	for issuer := range left {
		return fmt.Errorf("the CRL of %q is missing", issuer.Subject.CommonName)
	}
	for _, serial := range serials {
		if !has[serial.Text(16)] {
			return fmt.Errorf("%w: the serial %x", ErrIncomplete, serial)
		}
	}
	return nil
}

// signerOf returns the one of authorities that signed list; nil if none did.
func signerOf(list *x509.RevocationList, authorities map[*x509.Certificate]bool) *x509.Certificate {
	for issuer := range authorities {
		if list.CheckSignatureFrom(issuer) == nil {
			return issuer
		}
	}
	return nil
}
