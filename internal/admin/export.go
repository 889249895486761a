package admin

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
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

// FormError says that an authority cannot be exported as was asked.
type FormError struct{ Hint, Problem string }

func (e *FormError) Error() string { return e.Problem }

// ExportOptions are what some forms need.
type ExportOptions struct {
	// Hosts are the patterns of the hosts that FormKnownHosts is for.
	Hosts []string
	// Principals are those of which FormAuthorizedKeys lets one in; none means that
	// the certificate must name the account.
	Principals []string
}

// Export is ExportAs in the usual form, which is text.
func Export(a *join.Authority) (string, error) {
	text, err := ExportAs(a, Forms(a.Purpose)[0], ExportOptions{})
	return string(text), err
}

// ExportAs returns what a server trusts of an authority: all of its trusted keys, that
// which signs first. An authority without trusted keys is an error, never an empty
// file that trusts nobody or anybody.
func ExportAs(a *join.Authority, form Form, o ExportOptions) ([]byte, error) {
	if !slices.Contains(Forms(a.Purpose), form) {
		var names []string
		for _, f := range Forms(a.Purpose) {
			names = append(names, string(f))
		}
		return nil, &FormError{"write --form " + strings.Join(names, " or "), fmt.Sprintf("the authority %s has no form %q", a.Purpose, form)}
	}
	if len(a.TrustedKeys) == 0 || a.Purpose.IsX509() && len(a.TrustedCertificates) == 0 {
		return nil, fmt.Errorf("authority %s has no trusted key", a.Purpose)
	}
	switch form {
	case FormSSH:
		return sshLines(a, "")
	case FormAuthorizedKeys:
		return authorizedKeys(a, o.Principals)
	case FormKnownHosts:
		return knownHosts(a, o.Hosts)
	case FormJWKS:
		set, err := cert.JWKS(a.TrustedKeys)
		return append(set, '\n'), err
	case FormDER:
		if len(a.TrustedCertificates) > 1 {
			return nil, &FormError{"export it as PEM, which holds both", fmt.Sprintf("DER holds one certificate, and the authority %s has %d during its rotation", a.Purpose, len(a.TrustedCertificates))}
		}
		return a.TrustedCertificates[0].Raw, nil
	case FormPKCS12:
		return trustStore(a)
	}
	if a.Purpose == cert.JWT {
		return publicKeys(a)
	}
	return []byte(join.CertificatesPEM(a)), nil
}

// sshLines are the trusted keys, a line each, with something before.
func sshLines(a *join.Authority, before string) ([]byte, error) {
	comment := map[cert.Purpose]string{cert.SSHUser: join.UserCAComment, cert.SSHHost: join.HostCAComment}[a.Purpose]
	var b bytes.Buffer
	for _, key := range a.TrustedKeys {
		line, err := cert.SSHLine(key, comment)
		if err != nil {
			return nil, err
		}
		b.WriteString(before + line + "\n")
	}
	return b.Bytes(), nil
}

// authorizedKeys are lines for one account's authorized_keys (sshd(8),
// AUTHORIZED_KEYS FILE FORMAT).
func authorizedKeys(a *join.Authority, principals []string) ([]byte, error) {
	options := "cert-authority"
	for _, p := range principals {
		if p == "" || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",\`, r) }) {
			return nil, &FormError{"write principals as certificates name them, such as --principals deploy", fmt.Sprintf("%q is no principal", p)}
		}
	}
	if len(principals) > 0 {
		options += `,principals="` + strings.Join(principals, ",") + `"`
	}
	return sshLines(a, options+" ")
}

// knownHosts are lines for known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
func knownHosts(a *join.Authority, hosts []string) ([]byte, error) {
	const hint = "write the hosts that the authority may speak for, such as --hosts '*.example.com'"
	if len(hosts) == 0 {
		return nil, &FormError{hint, "known-hosts lines need --hosts"}
	}
	for _, h := range hosts {
		if strings.Trim(h, "!") == "" || strings.ContainsFunc(h, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_*?:[]!%", r))
		}) {
			return nil, &FormError{hint, fmt.Sprintf("%q is no host pattern", h)}
		}
	}
	return sshLines(a, "@cert-authority "+strings.Join(hosts, ",")+" ")
}

// publicKeys are the keys in PEM (RFC 7468 §13).
func publicKeys(a *join.Authority) ([]byte, error) {
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
func trustStore(a *join.Authority) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for _, c := range a.TrustedCertificates {
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: c, FriendlyName: c.Subject.CommonName})
	}
	return pkcs12.Modern.EncodeTrustStoreEntries(entries, TrustStorePassword)
}
