package credentials

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"slices"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Files of a TLS client, as tbot's specific names have them.
const (
	fileClientCert = "tls.crt"
	fileClientKey  = "tls.key"
	fileServerCAs  = "tls.cas"
)

// clientCert is one X.509 client certificate: what is asked for and, once it is
// granted, what a program needs to use it.
type clientCert struct {
	wish  api.CredentialRequest // without name and CSR
	check func(pkix.Name) bool  // whether the subject is the one that was asked for
	name  string
	key   *keyPair
}

// request makes a new key and asks for a certificate for it.
func (c *clientCert) request(prefix string, random io.Reader) ([]api.CredentialRequest, error) {
	key, err := newKeyPair(random)
	if err != nil {
		return nil, err
	}
	csr, err := key.csr(random)
	if err != nil {
		return nil, err
	}
	c.key, c.name = key, prefix+c.wish.Usage
	wish := c.wish
	wish.Name, wish.Type, wish.CSR = c.name, api.TypeX509, csr
	return []api.CredentialRequest{wish}, nil
}

// grantedCert is a certificate that was checked, with its key.
type grantedCert struct {
	cert   *x509.Certificate
	key    *keyPair
	keyPEM []byte
}

func (g grantedCert) certPEM() []byte { return pemCertificates([]*x509.Certificate{g.cert}) }

// accept checks that the certificate is for our key, signed by the authority of
// its usage, and for nobody but whom we asked to be.
func (c *clientCert) accept(g Granted) (grantedCert, error) {
	cert, _, err := acceptX509(g, c.name, c.wish.Usage, c.key)
	if err != nil {
		return grantedCert{}, err
	}
	if !c.check(cert.Subject) {
		return grantedCert{}, badAnswer("the %s certificate is for %s, which is not what was asked for", c.wish.Usage, cert.Subject)
	}
	private, err := c.key.pem()
	if err != nil {
		return grantedCert{}, err
	}
	return grantedCert{cert: cert, key: c.key, keyPEM: private}, nil
}

// acceptX509 finds and checks the certificate of a name, and returns the authorities of its usage too.
func acceptX509(g Granted, name, usage string, key *keyPair) (*x509.Certificate, []*x509.Certificate, error) {
	granted, err := find(g.Response, name, api.TypeX509)
	if err != nil {
		return nil, nil, err
	}
	authorities, err := parseCertificates(g.Response.Authorities.X509[usage])
	if err != nil {
		return nil, nil, badAnswer("the X.509 %s authority is not a PEM certificate", usage)
	}
	cert, err := checkX509(granted.Certificate, &key.private.PublicKey, authorities, g.Now)
	return cert, authorities, err
}

// tlsFiles are the files that most programs with TLS take.
func tlsFiles(cert grantedCert, serverCAs []byte) []destination.File {
	return []destination.File{
		{Name: fileClientCert, Data: cert.certPEM()},
		{Name: fileClientKey, Data: cert.keyPEM},
		{Name: fileServerCAs, Data: serverCAs},
	}
}

// maxName bounds names as the rule language does.
const maxName = 64

// checkName refuses names that no role can grant, before an ID token is spent on one.
func checkName(flag, value, example string) error {
	printable := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	switch {
	case value == "":
		return failure.New(failure.Usage, "--%s is missing", flag).Hint("write it like --%s=%s; the bot's role must grant it", flag, example)
	case len(value) > maxName || !printable:
		return failure.New(failure.Usage, "--%s %q is not a name of at most %d printable characters", flag, failure.Clean(value), maxName).
			Hint("write it like --%s=%s", flag, example)
	}
	return nil
}

// only reports whether a list of a certificate's subject holds exactly the values, in any order.
func only(have []string, want ...string) bool {
	want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
	have = slices.Clone(have)
	slices.Sort(have)
	slices.Sort(want)
	return slices.Equal(have, want)
}
