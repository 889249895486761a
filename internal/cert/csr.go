package cert

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxCSR bounds a certificate request, in bytes; one of RSA 4096 takes about 1800.
const maxCSR = 16 << 10

const csrType = "CERTIFICATE REQUEST"

// ParseCSR reads a certificate request (RFC 2986) and returns its public key.
// text is exactly one PEM block (RFC 7468 §7), without headers and without text
// around it. The request's own signature is checked, so whoever made it has the
// private key; nothing else in it is believed. A key of a kind that is not
// signed is a *KeyError; any other error says that the request is malformed.
func ParseCSR(text string) (crypto.PublicKey, error) {
	der, err := onePEM(text, csrType, maxCSR)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		if kind := foreignKey(der); kind != "" {
			return nil, &KeyError{Kind: kind}
		}
		return nil, fmt.Errorf("the certificate request cannot be read: %w", err)
	}
	if csr.PublicKeyAlgorithm == x509.DSA {
		return nil, &KeyError{Kind: csr.PublicKeyAlgorithm.String()}
	}
	// The kind comes first, for the signature of a huge key is costly to check.
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, err
	}
	switch csr.SignatureAlgorithm {
	case x509.UnknownSignatureAlgorithm, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return nil, fmt.Errorf("the certificate request is signed with %s; sign it with SHA-256", csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, errors.New("the certificate request's signature does not verify; sign it with the private key of the key it holds")
	}
	return csr.PublicKey, nil
}

// onePEM decodes text that is one PEM block of a type and nothing else.
// pem.Decode alone passes over what it cannot read and takes a later block.
func onePEM(text, kind string, limit int) ([]byte, error) {
	begin := "-----BEGIN " + kind + "-----"
	if len(text) > limit {
		return nil, fmt.Errorf("longer than %d bytes; give one PEM block %q", limit, begin)
	}
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, begin) {
		return nil, fmt.Errorf("does not begin with %q; give one PEM block and no text before it", begin)
	}
	if strings.Count(text, "-----BEGIN") != 1 {
		return nil, fmt.Errorf("has more than one PEM block; give one %q", begin)
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, fmt.Errorf("the PEM block %q cannot be decoded", begin)
	case len(block.Headers) > 0:
		return nil, fmt.Errorf("the PEM block %q has headers; leave them out", begin)
	case len(rest) > 0:
		return nil, fmt.Errorf("there is text after the PEM block %q; leave it out", begin)
	}
	return block.Bytes, nil
}

// foreignKey says what kind of key a request has that crypto/x509 cannot read
// since it knows no such curve; empty if the request is not even well-formed, or
// its curve is not what is wrong with it.
func foreignKey(der []byte) string {
	var csr struct {
		Info struct {
			Version   int
			Subject   asn1.RawValue
			PublicKey struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			}
			Attributes asn1.RawValue `asn1:"optional,tag:0"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &csr); err != nil || len(rest) > 0 {
		return ""
	}
	algorithm := csr.Info.PublicKey.Algorithm
	if !algorithm.Algorithm.Equal(oidECPublicKey) {
		return ""
	}
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(algorithm.Parameters.FullBytes, &curve); err != nil {
		return "ECDSA on a curve without a name"
	}
	if slices.ContainsFunc(namedCurves(), curve.Equal) {
		return ""
	}
	return "ECDSA on curve " + curve.String()
}

// oidECPublicKey is id-ecPublicKey (RFC 5480 §2.1.1).
var oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// namedCurves are the curves that crypto/x509 can read: P-224, P-256, P-384 and
// P-521 (RFC 5480 §2.1.1.1).
func namedCurves() []asn1.ObjectIdentifier {
	return []asn1.ObjectIdentifier{{1, 3, 132, 0, 33}, {1, 2, 840, 10045, 3, 1, 7}, {1, 3, 132, 0, 34}, {1, 3, 132, 0, 35}}
}
