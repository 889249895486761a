package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// granted is what a join gave to one output, checked. Files are made of it.
type granted struct {
	*Output
	dir     string    // the absolute path that the files will have
	expires time.Time // of the credential that ends first

	login           *ssh.Certificate
	hostAuthorities []ssh.PublicKey // they sign the certificates of hosts
	cert            *x509.Certificate
	authorities     []*x509.Certificate // one of them has signed cert
	token           jwtGranted
	secret          string // of a file that needs a password
}

// SSHLogin is an SSH certificate with its key.
type SSHLogin struct {
	Key         *ecdsa.PrivateKey
	Certificate *ssh.Certificate
	// HostAuthorities sign the certificates of hosts.
	HostAuthorities []ssh.PublicKey
}

// accept finds and checks the credential that was asked for.
func (g *granted) accept(answer Answer, ask api.CredentialRequest) error {
	credential, err := find(answer.Response, g.prefix+ask.Name, ask.Type)
	if err != nil {
		return err
	}
	given := answer.Response.Authorities
	var holds []byte
	switch ask.Type {
	case api.TypeSSH:
		if err := g.acceptSSH(credential.Certificate, given.SSHUser, given.SSHHost, answer.Now); err != nil {
			return err
		}
		holds = g.login.Marshal()
	case api.TypeX509:
		if err := g.acceptX509(credential.Certificate, ask.Usage, given.X509[ask.Usage], answer.Now); err != nil {
			return err
		}
		holds = g.cert.Raw
	default:
		if g.token, err = checkJWT(credential.Token, ask.Audience, answer.Now); err != nil {
			return err
		}
		g.endsAt(g.token.expires)
		holds = claimsOf(g.token.text)
	}
	// Both times are of the service's clock.
	if end := answer.Response.ExpiresAt.Add(time.Minute); g.expires.After(end) {
		return BadAnswer("credential %q ends at %s, after the %s that the answer says", ask.Name, g.expires.UTC().Format(time.RFC3339), answer.Response.ExpiresAt.UTC().Format(time.RFC3339))
	}
	// The signature is the part that is worth something.
	signature := answer.IDToken[strings.LastIndexByte(answer.IDToken, '.')+1:]
	if signature != "" && bytes.Contains(holds, []byte(signature)) {
		return BadAnswer("credential %q has the job's ID token in it", ask.Name)
	}
	return nil
}

// claimsOf is the payload of a JWT that was checked.
func claimsOf(token string) []byte {
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	return payload
}

func (g *granted) acceptSSH(line string, users, hosts []string, now time.Time) error {
	authorities, err := parseAuthorities(users)
	if err != nil {
		return err
	}
	if g.login, err = checkSSH(line, g.key.ssh, authorities, now); err != nil {
		return err
	}
	g.endsAt(sshTime(g.login.ValidBefore))
	g.hostAuthorities, err = parseAuthorities(hosts)
	return err
}

// acceptX509 checks that the certificate is for our key, signed by the authority of
// its usage, and for nobody but whom we asked to be.
func (g *granted) acceptX509(text, usage, authorities string, now time.Time) error {
	var err error
	if g.authorities, err = parseCertificates(authorities); err != nil {
		return BadAnswer("the X.509 %s authority is not a PEM certificate", usage)
	}
	if g.cert, err = checkX509(text, &g.key.private.PublicKey, g.authorities, now); err != nil {
		return err
	}
	if g.is != nil && !g.is(g.cert.Subject) {
		return BadAnswer("the %s certificate is for %s, which is not what was asked for", usage, g.cert.Subject)
	}
	g.endsAt(g.cert.NotAfter)
	return nil
}

// endsAt notes when a credential ends.
func (g *granted) endsAt(end time.Time) {
	if g.expires.IsZero() || end.Before(g.expires) {
		g.expires = end
	}
}

// result is what there is to tell, without the files.
func (g *granted) result() *Result {
	r := &Result{Expires: g.expires, Subject: g.token.subject}
	switch {
	case g.login != nil:
		r.Principals = slices.Clone(g.login.ValidPrincipals)
		r.Login = &SSHLogin{Key: g.key.private, Certificate: g.login, HostAuthorities: g.hostAuthorities}
	case g.cert != nil:
		r.Subject = g.cert.Subject.String()
	}
	return r
}

// path is the absolute path that a file will have, for a shell.
func (g *granted) path(name string) string { return words.ShellWord(g.dir + "/" + name) }

// What files hold.

func (g *granted) privateKey() ([]byte, error) { return g.key.pem() }

func (g *granted) publicKeyLine() ([]byte, error) { return []byte(keyLine(g.key.ssh) + "\n"), nil }

func (g *granted) sshCertificate() ([]byte, error) { return []byte(keyLine(g.login) + "\n"), nil }

func (g *granted) certificate() ([]byte, error) {
	return pemCertificates([]*x509.Certificate{g.cert}), nil
}

func (g *granted) certificateAndKey() ([]byte, error) {
	key, err := g.key.pem()
	return append(pemCertificates([]*x509.Certificate{g.cert}), key...), err
}

func (g *granted) authority() ([]byte, error) { return pemCertificates(g.authorities), nil }

func (g *granted) knownHosts() ([]byte, error) {
	return knownHosts(g.hosts, g.hostAuthorities, g.hostLines), nil
}

func (g *granted) jwt() ([]byte, error) { return []byte(g.token.text), nil }

// assignments are the output's variables for a shell to read.
func (g *granted) assignments() ([]byte, error) {
	var env []byte
	for _, v := range g.variables(g.dir) {
		env = fmt.Appendf(env, "%s=%s\n", v.Name, words.ShellQuote(v.Value))
	}
	return env, nil
}

// serverCAs are the content of a file that was known before the join.
func (cas ServerCAs) content(*granted) ([]byte, error) { return cas.PEM, nil }

// find returns the granted credential of a name.
func find(response *api.JoinResponse, name, kind string) (api.Credential, error) {
	for _, credential := range response.Credentials {
		if credential.Name == name {
			if credential.Type != kind {
				return api.Credential{}, BadAnswer("credential %q is of type %q, not %q", name, credential.Type, kind)
			}
			return credential, nil
		}
	}
	return api.Credential{}, BadAnswer("credential %q is missing", name)
}
