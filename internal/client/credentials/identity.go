package credentials

import (
	"crypto/x509"
	"io"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TypeIdentity is the output for OpenSSH and for TLS as the bot itself.
const TypeIdentity = "identity"

// Files of an identity.
const (
	fileKey        = "key"
	filePublicKey  = "key.pub"
	fileSSHCert    = "key-cert.pub"
	fileTLSCert    = "tlscert"
	fileAuthority  = "ca.pem"
	fileKnownHosts = "known_hosts"
	fileSSHConfig  = "ssh_config"
)

// IdentityConfig says what an identity is to hold.
type IdentityConfig struct {
	Path string
	// Roles narrows the credentials to some of the bot's roles; empty means all.
	Roles []string
	// SSHHosts are host patterns that the SSH host authority vouches for; empty means every host.
	SSHHosts []string
	// KnownHosts are the contents of a known_hosts file, for hosts without certificates.
	KnownHosts []byte
	// Access is for others than the user that runs gatepass.
	Access destination.Access
}

// Identity is an SSH certificate and an X.509 certificate for one key.
type Identity struct {
	place
	config IdentityConfig
	hosts  string // the patterns of the @cert-authority lines
	known  []byte // the lines for hosts without certificates
	prefix string
	key    *keyPair
}

var _ Output = (*Identity)(nil)

// NewIdentity checks the configuration.
func NewIdentity(config IdentityConfig) (*Identity, error) {
	hosts, err := hostPatterns(config.SSHHosts)
	if err != nil {
		return nil, err
	}
	known, err := knownHostsLines(config.KnownHosts)
	if err != nil {
		return nil, err
	}
	if config.Path != "" {
		if err := checkConfigPath(config.Path); err != nil {
			return nil, err
		}
	}
	return &Identity{
		place:  place{path: config.Path, access: config.Access, size: len(known)},
		config: config, hosts: hosts, known: known,
	}, nil
}

// Type implements Output.
func (*Identity) Type() string { return TypeIdentity }

// Names implements Output.
func (*Identity) Names() []string {
	return []string{fileKey, filePublicKey, fileSSHCert, fileTLSCert, fileAuthority, fileKnownHosts, fileSSHConfig}
}

// Request implements Output: one key, an SSH and an X.509 certificate for it.
func (o *Identity) Request(prefix string, random io.Reader) ([]api.CredentialRequest, error) {
	key, err := newKeyPair(random)
	if err != nil {
		return nil, err
	}
	csr, err := key.csr(random)
	if err != nil {
		return nil, err
	}
	o.prefix, o.key = prefix, key
	return []api.CredentialRequest{
		{Name: prefix + "ssh", Type: api.TypeSSH, PublicKey: keyLine(key.ssh), Roles: o.config.Roles},
		{Name: prefix + "tls", Type: api.TypeX509, Usage: api.UsageIdentity, CSR: csr, Roles: o.config.Roles},
	}, nil
}

// Accept implements Output.
func (o *Identity) Accept(g Granted) (*Result, error) {
	sshCert, err := o.acceptSSH(g)
	if err != nil {
		return nil, err
	}
	tlsCert, authorities, err := acceptX509(g, o.prefix+"tls", api.UsageIdentity, o.key)
	if err != nil {
		return nil, err
	}
	hosts, err := parseAuthorities(g.Response.Authorities.SSHHost)
	if err != nil {
		return nil, err
	}
	private, err := o.key.pem()
	if err != nil {
		return nil, err
	}
	r := &Result{
		Files: []destination.File{
			{Name: fileKey, Data: private},
			{Name: filePublicKey, Data: []byte(keyLine(o.key.ssh) + "\n")},
			{Name: fileSSHCert, Data: []byte(keyLine(sshCert) + "\n")},
			{Name: fileTLSCert, Data: pemCertificates([]*x509.Certificate{tlsCert})},
			{Name: fileAuthority, Data: pemCertificates(authorities)},
			{Name: fileKnownHosts, Data: knownHosts(o.hosts, hosts, o.known)},
			{Name: fileSSHConfig, Data: sshConfig(g.Path)},
		},
		Principals: slices.Clone(sshCert.ValidPrincipals),
		Expires:    earlier(sshTime(sshCert.ValidBefore), tlsCert.NotAfter),
		Next:       "ssh -F " + ShellQuote(g.Path+"/"+fileSSHConfig) + " " + ShellQuote(api.Login(sshCert.ValidPrincipals[0])) + "@HOST",
	}
	if len(hosts) == 0 && len(o.known) == 0 {
		r.Warnings = append(r.Warnings, "the service has no SSH host authority and no --known-hosts was given, so ssh will know no host; give --known-hosts FILE")
	}
	return r, nil
}

func (o *Identity) acceptSSH(g Granted) (*ssh.Certificate, error) {
	granted, err := find(g.Response, o.prefix+"ssh", api.TypeSSH)
	if err != nil {
		return nil, err
	}
	authorities, err := parseAuthorities(g.Response.Authorities.SSHUser)
	if err != nil {
		return nil, err
	}
	return checkSSH(granted.Certificate, o.key.ssh, authorities, g.Now)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
