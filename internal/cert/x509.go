package cert

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"slices"
	"time"
)

// X509Request is what an X.509 certificate shall say (RFC 5280).
type X509Request struct {
	// Key is the public key to certify, as ParseCSR returns it.
	Key crypto.PublicKey
	// Subject is made by one of the constructors, which also says who may sign it.
	Subject Subject
	// URI is the subject alternative name of an identity; nil for all others.
	URI *url.URL
	// Serial is positive and has at most 128 bits.
	Serial *big.Int
	// NotBefore and NotAfter are cut to whole seconds. They lie within the validity of the authority.
	NotBefore, NotAfter time.Time
}

// maxSerialBits keeps a serial within the 20 octets of RFC 5280 §4.1.2.2.
const maxSerialBits = 128

// SignX509 signs a client certificate and returns it in PEM, parsed again and
// checked against r. ca must be the certificate of signer's key and the
// authority of the subject's purpose; the key must be ECDSA P-256.
func SignX509(rand io.Reader, ca *x509.Certificate, signer crypto.Signer, r X509Request) (string, error) {
	s, err := newAuthoritySigner(signer)
	if err != nil {
		return "", err
	}
	if err := r.check(ca, s); err != nil {
		return "", err
	}
	subject, err := r.Subject.encode()
	if err != nil {
		return "", err
	}
	if bytes.Equal(subject, ca.RawSubject) {
		return "", errors.New("a certificate cannot have the name of its authority; choose another")
	}
	template := &x509.Certificate{
		SerialNumber:          r.Serial,
		RawSubject:            subject,
		NotBefore:             r.NotBefore.UTC().Truncate(time.Second),
		NotAfter:              r.NotAfter.UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if r.URI != nil {
		template.URIs = []*url.URL{r.URI}
	}
	// CreateCertificate verifies what the signer returned by the key that s has
	// on record, and that this is ca's; verifying again would double the cost.
	der, err := x509.CreateCertificate(rand, template, ca, r.Key, s)
	if err != nil {
		return "", fmt.Errorf("signing an X.509 certificate: %w", err)
	}
	if err := checkX509(der, ca, r, template); err != nil {
		return "", err
	}
	return certificatePEM(der), nil
}

// check refuses a request that does not fit the authority or would make a
// certificate that no server should accept.
func (r *X509Request) check(ca *x509.Certificate, s authoritySigner) error {
	switch {
	case ca == nil || len(ca.Raw) == 0:
		return errors.New("there is no certificate of the authority")
	case !s.public.Equal(ca.PublicKey):
		return errors.New("the signing key is not that of the authority's certificate")
	case !ca.IsCA || len(ca.SubjectKeyId) == 0 || ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("the authority's certificate may not sign certificates")
	case ca.Subject.CommonName != authorityName(r.Subject.purpose, ca.SubjectKeyId):
		return fmt.Errorf("a subject for %q cannot be signed by %q", r.Subject.purpose, ca.Subject.CommonName)
	case (r.URI != nil) != (r.Subject.purpose == X509Identity):
		return errors.New("an identity certificate has a URI, and no other has")
	case r.Serial == nil || r.Serial.Sign() <= 0 || r.Serial.BitLen() > maxSerialBits:
		return fmt.Errorf("the serial of an X.509 certificate is positive and has at most %d bits", maxSerialBits)
	}
	if r.URI != nil {
		if err := checkURI(r.URI); err != nil {
			return err
		}
	}
	if err := checkValidity(r.NotBefore, r.NotAfter); err != nil {
		return err
	}
	if r.NotBefore.Before(ca.NotBefore) || r.NotAfter.After(ca.NotAfter) {
		return fmt.Errorf("the authority's certificate is valid from %s until %s, the one asked for is not within that; rotate the authority",
			ca.NotBefore.UTC().Format(time.RFC3339), ca.NotAfter.UTC().Format(time.RFC3339))
	}
	return checkKey(r.Key)
}

// The extensions of our certificates (RFC 5280 §4.2.1).
var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// checkX509 parses the certificate as a server will and compares it with what was asked.
func checkX509(der []byte, ca *x509.Certificate, r X509Request, asked *x509.Certificate) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("the X.509 certificate that was made cannot be read: %w", err)
	}
	want := []asn1.ObjectIdentifier{oidKeyUsage, oidExtKeyUsage, oidBasicConstraints, oidAuthorityKeyID}
	uris := []string{}
	if r.URI != nil {
		want = append(want, oidSubjectAltName)
		uris = append(uris, r.URI.String())
	}
	got := make([]string, len(c.URIs))
	for i, u := range c.URIs {
		got[i] = u.String()
	}
	key, ok := r.Key.(interface{ Equal(crypto.PublicKey) bool })
	return checkAll("X.509 certificate", []check{
		{c.Version == 3, "the version"},
		{ok && key.Equal(c.PublicKey), "the public key"},
		{c.SerialNumber.Cmp(r.Serial) == 0, "the serial"},
		{bytes.Equal(c.RawSubject, asked.RawSubject), "the subject"},
		{bytes.Equal(c.RawIssuer, ca.RawSubject), "the issuer"},
		{c.NotBefore.Equal(asked.NotBefore) && c.NotAfter.Equal(asked.NotAfter), "the validity"},
		{c.BasicConstraintsValid && !c.IsCA, "CA:FALSE"},
		{c.KeyUsage == x509.KeyUsageDigitalSignature, "the key usage"},
		{slices.Equal(c.ExtKeyUsage, asked.ExtKeyUsage) && len(c.UnknownExtKeyUsage) == 0, "the extended key usage"},
		{bytes.Equal(c.AuthorityKeyId, ca.SubjectKeyId), "the authority key identifier"},
		{slices.Equal(got, uris), "the URI"},
		{len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) == 0, "the alternative names"},
		{hasExactly(c, want), "the extensions"},
	})
}

// hasExactly reports whether a certificate has these extensions, each once, and no other.
func hasExactly(c *x509.Certificate, want []asn1.ObjectIdentifier) bool {
	if len(c.Extensions) != len(want) || len(c.UnhandledCriticalExtensions) > 0 {
		return false
	}
	for _, id := range want {
		if !slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) }) {
			return false
		}
	}
	return true
}
