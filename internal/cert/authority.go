package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// authorityYears is how long an X.509 authority's certificate is valid.
	authorityYears = 10
	// authorityBackdate lets an authority that was made a moment ago sign
	// certificates that begin before now, on a machine whose clock lags.
	authorityBackdate = time.Hour
)

// NewX509Authority makes the self-signed certificate of an X.509 authority:
// valid for ten years, from an hour before now; path length 0, so that it signs
// no further authorities; certSign and cRLSign; SKI; random serial of 128 bits;
// CN "gatepass PURPOSE XXXXXXXX", the end being the start of its SKI. The
// signer's key must be ECDSA P-256.
func NewX509Authority(rand io.Reader, signer crypto.Signer, p Purpose, now time.Time) (*x509.Certificate, error) {
	if !p.IsX509() {
		return nil, fmt.Errorf("the authority %q has no certificate", p)
	}
	s, err := newAuthoritySigner(signer)
	if err != nil {
		return nil, err
	}
	ski, err := subjectKeyID(s.public)
	if err != nil {
		return nil, err
	}
	serial, err := NewX509Serial(rand)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: authorityName(p, ski)},
		NotBefore:             now.UTC().Truncate(time.Second).Add(-authorityBackdate),
		NotAfter:              now.UTC().Truncate(time.Second).AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          ski,
		AuthorityKeyId:        ski,
	}
	der, err := x509.CreateCertificate(rand, template, template, s.public, s)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of authority %s: %w", p, err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the certificate of authority %s that was made cannot be read: %w", p, err)
	}
	if err := CheckX509Authority(c, s.public, p); err != nil {
		return nil, err
	}
	return c, checkAll("certificate", []check{
		{c.SerialNumber.Cmp(serial) == 0, "the serial"},
		{c.NotBefore.Equal(template.NotBefore) && c.NotAfter.Equal(template.NotAfter), "the validity"},
	})
}

// ParseX509Authority reads a stored certificate (PEM), and checks it.
func ParseX509Authority(text string, key crypto.PublicKey, p Purpose) (*x509.Certificate, error) {
	c, err := ParseCertificatePEM(text)
	if err != nil {
		return nil, err
	}
	if err := CheckX509Authority(c, key, p); err != nil {
		return nil, err
	}
	return c, nil
}

// CheckX509Authority checks that a stored certificate is one that
// NewX509Authority made, for this key and this purpose. Whether it has expired
// is for SignX509.
func CheckX509Authority(c *x509.Certificate, key crypto.PublicKey, p Purpose) error {
	public, err := authorityKey(key)
	if err != nil {
		return err
	}
	if !public.Equal(c.PublicKey) {
		return errors.New("the certificate does not belong to the key")
	}
	if c.Subject.CommonName != authorityName(p, c.SubjectKeyId) {
		return fmt.Errorf("the certificate is that of %q, not of the authority %s", c.Subject.CommonName, p)
	}
	if !c.IsCA || !c.BasicConstraintsValid || c.MaxPathLen != 0 || !c.MaxPathLenZero ||
		c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(c.UnhandledCriticalExtensions) > 0 {
		return fmt.Errorf("the certificate of authority %s is not made as one of ours: CA:TRUE, path length 0, certSign and cRLSign", p)
	}
	if !bytes.Equal(c.RawIssuer, c.RawSubject) || c.CheckSignatureFrom(c) != nil {
		return fmt.Errorf("the certificate of authority %s is not signed by its own key", p)
	}
	return nil
}

// AuthorityName is the CN of the certificate of an X.509 authority with this key,
// ECDSA P-256.
func AuthorityName(p Purpose, key crypto.PublicKey) (string, error) {
	public, err := authorityKey(key)
	if err != nil {
		return "", err
	}
	ski, err := subjectKeyID(public)
	if err != nil {
		return "", err
	}
	return authorityName(p, ski), nil
}

// authorityName is the CN of an authority. It tells authorities of one purpose
// apart: those of two deployments, and the old and new one during a rotation.
func authorityName(p Purpose, ski []byte) string {
	return fmt.Sprintf("gatepass %s %x", p, ski[:min(4, len(ski))])
}

// subjectKeyID is the first 160 bits of the SHA-256 of the public key (RFC 7093
// §2, method 1).
func subjectKeyID(public *ecdsa.PublicKey) ([]byte, error) {
	point, err := public.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(point)
	return sum[:20], nil
}
