package cert

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Subject is the name in an X.509 certificate, together with the purpose of the
// authority that may sign it: a database user's name is worth nothing to a
// Kubernetes authority, and SignX509 refuses to mix them.
type Subject struct {
	purpose Purpose
	name    pkix.RDNSequence // in the order of the encoding, the widest first
}

// The attributes of our names (RFC 5280 appendix A.1).
var (
	oidCommonName         = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganization       = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOrganizationalUnit = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// IdentitySubject names a bot: CN=bot, and the URI
// spiffe://trustDomain/bot/bot for the subject alternative name.
func IdentitySubject(bot, trustDomain string) (Subject, *url.URL) {
	return Subject{X509Identity, pkix.RDNSequence{rdn(oidCommonName, bot)}},
		&url.URL{Scheme: spiffeScheme, Host: trustDomain, Path: spiffeBotPath + bot}
}

// DatabaseSubject names a database user: CN=user, and OU=database unless that is empty.
func DatabaseSubject(user, database string) Subject {
	if database == "" {
		return Subject{X509Database, pkix.RDNSequence{rdn(oidCommonName, user)}}
	}
	return Subject{X509Database, pkix.RDNSequence{rdn(oidOrganizationalUnit, database), rdn(oidCommonName, user)}}
}

// ApplicationSubject names a bot at an application: CN=bot, OU=app.
func ApplicationSubject(bot, app string) Subject {
	return Subject{X509Application, pkix.RDNSequence{rdn(oidOrganizationalUnit, app), rdn(oidCommonName, bot)}}
}

// KubernetesSubject names a Kubernetes user and its groups: CN=user, and one
// O for each group, in order.
func KubernetesSubject(user string, groups []string) Subject {
	var n pkix.RDNSequence
	for _, g := range groups {
		n = append(n, rdn(oidOrganization, g))
	}
	return Subject{X509Kubernetes, append(n, rdn(oidCommonName, user))}
}

// rdn is a relative name of its own for one value. pkix.Name would put all
// values of O into one set, where DER sorts them and which many programs print
// as one odd value.
func rdn(kind asn1.ObjectIdentifier, value string) pkix.RelativeDistinguishedNameSET {
	return pkix.RelativeDistinguishedNameSET{{Type: kind, Value: value}}
}

// Limits of a subject. RFC 5280 appendix A.1 allows names 64 characters.
const (
	maxName       = 64
	maxAttributes = 257 // 256 groups and a user
)

// encode returns the DER of a subject whose every value is fit to be compared
// by a server: 1 to 64 printable characters. crypto/x509 encodes a value as
// PrintableString where its characters allow, else as UTF8String (RFC 5280
// §4.1.2.4).
func (s Subject) encode() ([]byte, error) {
	if len(s.name) == 0 || len(s.name) > maxAttributes {
		return nil, fmt.Errorf("a certificate's subject has 1 to %d attributes, not %d", maxAttributes, len(s.name))
	}
	for _, set := range s.name {
		for _, a := range set {
			value, ok := a.Value.(string)
			if !ok || value == "" || utf8.RuneCountInString(value) > maxName || !printable(value) {
				return nil, fmt.Errorf("%q cannot be in a certificate's subject; names have 1 to %d printable characters", a.Value, maxName)
			}
		}
	}
	return asn1.Marshal(s.name)
}

// printable refuses what a log or a mapping file could not show, NUL and
// newlines above all, and invalid UTF-8.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

const (
	spiffeScheme  = "spiffe"
	spiffeBotPath = "/bot/"
	// maxSPIFFEID and maxTrustDomain are limits of the SPIFFE-ID standard, §2.3 and §2.1.
	maxSPIFFEID    = 2048
	maxTrustDomain = 255
)

// checkURI refuses an URI that is not the SPIFFE ID of a bot. Compared whole, it
// leaves no room for a port, a query or an escape.
func checkURI(u *url.URL) error {
	bot, isBot := strings.CutPrefix(u.Path, spiffeBotPath)
	if u.String() != spiffeScheme+"://"+u.Host+spiffeBotPath+bot || !isBot || len(u.String()) > maxSPIFFEID {
		return errors.New("the URI of an identity certificate is spiffe://TRUST-DOMAIN/bot/NAME")
	}
	if err := CheckTrustDomain(u.Host); err != nil {
		return err
	}
	if bot == "" || bot == "." || bot == ".." || !onlyOf(bot, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") {
		return fmt.Errorf("bot %q: a name in a SPIFFE ID has letters, digits, dots, dashes and underscores", bot)
	}
	return nil
}

// CheckTrustDomain says what is wrong with the name of a SPIFFE trust domain
// (SPIFFE-ID §2.1). One that is refused here could sign no identity.
func CheckTrustDomain(name string) error {
	if name == "" || len(name) > maxTrustDomain || !onlyOf(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") {
		return fmt.Errorf("trust domain %q: write a name such as example.com, of lower-case letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// TrustDomainOf is the trust domain of a service that is given none: its public URL's
// host in lower case, and empty if that is not a URL. No trust domain has colons.
func TrustDomainOf(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if host == "::1" {
		return "localhost"
	}
	return host
}

func onlyOf(s, alphabet string) bool { return strings.Trim(s, alphabet) == "" }
