package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

// Form is how a server takes an authority.
type Form string

// Forms.
const (
	FormSSH            Form = "ssh"             // a public key a line: TrustedUserCAKeys
	FormAuthorizedKeys Form = "authorized-keys" // cert-authority lines of one account
	FormKnownHosts     Form = "known-hosts"     // @cert-authority lines of clients
	FormPEM            Form = "pem"             // certificates, or a JWT's public keys
	FormDER            Form = "der"             // one certificate
	FormPKCS12         Form = "p12"             // a trust store for Java
	FormJWKS           Form = "jwks"            // RFC 7517 §5
)

// TrustStorePassword protects nothing: what is in a trust store is public. Java
// wants one, and this is its default.
const TrustStorePassword = "changeit"

// Forms returns the forms that an authority can be exported in, the usual one first.
func Forms(p cert.Purpose) []Form {
	switch {
	case p == cert.SSHUser:
		return []Form{FormSSH, FormAuthorizedKeys}
	case p == cert.SSHHost:
		return []Form{FormSSH, FormKnownHosts}
	case p == cert.JWT:
		return []Form{FormJWKS, FormPEM}
	}
	return []Form{FormPEM, FormDER, FormPKCS12}
}

// ExportError says that an authority cannot be exported as was asked.
type ExportError struct {
	Wrong   ExportPart
	Problem string
}

func (e *ExportError) Error() string { return e.Problem }

// ExportPart is a part of what is asked of an export.
type ExportPart int

// The parts of what is asked of an export.
const (
	ExportForm       ExportPart = iota // the authority does not have the form
	ExportOneOnly                      // the form holds one certificate, and there are more
	ExportHosts                        // ExportOptions.Hosts
	ExportPrincipals                   // ExportOptions.Principals
)

// ExportOptions are what some forms need.
type ExportOptions struct {
	// Hosts are the patterns of the hosts that FormKnownHosts is for.
	Hosts []string
	// Principals are those of which FormAuthorizedKeys lets one in; none means that
	// the certificate must name the account.
	Principals []string
}

// Export returns what a server trusts of an authority: all of its trusted keys, that
// which signs first. An authority without trusted keys is an error, never an empty
// file that trusts nobody or anybody. It is not a method, so that programs which never
// call it do not link what it needs.
func Export(a *Authority, form Form, o ExportOptions) ([]byte, error) {
	if !slices.Contains(Forms(a.Purpose), form) {
		return nil, &ExportError{ExportForm, fmt.Sprintf("the authority %s has no form %q", a.Purpose, form)}
	}
	if len(a.TrustedKeys) == 0 || a.Purpose.IsX509() && len(a.TrustedCertificates) == 0 {
		return nil, fmt.Errorf("authority %s has no trusted key", a.Purpose)
	}
	switch form {
	case FormSSH:
		return a.linesAfter("")
	case FormAuthorizedKeys:
		return a.authorizedKeys(o.Principals)
	case FormKnownHosts:
		return a.knownHosts(o.Hosts)
	case FormJWKS:
		set, err := cert.JWKS(a.TrustedKeys)
		return append(set, '\n'), err
	case FormDER:
		if len(a.TrustedCertificates) > 1 {
			return nil, &ExportError{ExportOneOnly, fmt.Sprintf("DER holds one certificate, and the authority %s has %d during its rotation", a.Purpose, len(a.TrustedCertificates))}
		}
		return a.TrustedCertificates[0].Raw, nil
	case FormPKCS12:
		return a.trustStore()
	}
	if a.Purpose == cert.JWT {
		return a.publicKeys()
	}
	return []byte(a.certificatesPEM()), nil
}

// linesAfter are the trusted keys, a line each, with something before.
func (a *Authority) linesAfter(before string) ([]byte, error) {
	lines, err := a.sshLines()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(before + line + "\n")
	}
	return b.Bytes(), nil
}

// authorizedKeys are lines for one account's authorized_keys (sshd(8),
// AUTHORIZED_KEYS FILE FORMAT).
func (a *Authority) authorizedKeys(principals []string) ([]byte, error) {
	options := "cert-authority"
	for _, p := range principals {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",\`, r) }) {
			return nil, &ExportError{ExportPrincipals, fmt.Sprintf("%q is no principal", p)}
		}
	}
	if len(principals) > 0 {
		options += `,principals="` + strings.Join(principals, ",") + `"`
	}
	return a.linesAfter(options + " ")
}

// knownHosts are lines for known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
func (a *Authority) knownHosts(hosts []string) ([]byte, error) {
	if len(hosts) == 0 {
		return nil, &ExportError{ExportHosts, "known-hosts lines need --hosts"}
	}
	for _, h := range hosts {
		if strings.Trim(h, "!") == "" || strings.ContainsFunc(h, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_*?:[]!%", r))
		}) {
			return nil, &ExportError{ExportHosts, fmt.Sprintf("%q is no host pattern", h)}
		}
	}
	return a.linesAfter("@cert-authority " + strings.Join(hosts, ",") + " ")
}

// publicKeys are the keys in PEM (RFC 7468 §13).
func (a *Authority) publicKeys() ([]byte, error) {
	var b bytes.Buffer
	for _, key := range a.TrustedKeys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return nil, err
		}
		if err := pem.Encode(&b, &pem.Block{Type: "PUBLIC KEY", Bytes: der}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// trustStore is a PKCS #12 file as Java reads it, with the certificates marked as trusted.
func (a *Authority) trustStore() ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for _, c := range a.TrustedCertificates {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: c, FriendlyName: c.Subject.CommonName})
	}
	return pkcs12.Modern.EncodeTrustStoreEntries(entries, TrustStorePassword)
}
