package credentials

import (
	"crypto/ecdsa"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/client/destination"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// TypeLogin is the output for SSH alone, whose key is in no file.
const TypeLogin = "login"

// Names of files that have a variable of their own in a child's environment.
const (
	FileSSHConfig   = fileSSHConfig
	FileKnownHosts  = fileKnownHosts
	FileEnv         = fileEnv
	FileMySQLConfig = fileMySQLConfig
	FileKubeconfig  = fileKubeconfig
)

// FileAgentSocket is where a login's ssh_config looks for the agent that holds
// its key: in the directory of the login's files.
const FileAgentSocket = "agent.sock"

// LoginConfig says what a login is to hold.
type LoginConfig struct {
	// Path is the directory that the files will be in; empty when they are not wanted.
	Path string
	// Roles narrows the certificate to some of the bot's roles; empty means all.
	Roles []string
	// SSHHosts are host patterns that the SSH host authority vouches for; empty means every host.
	SSHHosts []string
	// KnownHosts are the contents of a known_hosts file, for hosts without certificates.
	KnownHosts []byte
}

// Login is an SSH certificate whose key stays in this process. Its files hold
// no secret.
type Login struct {
	place
	config LoginConfig
	hosts  string
	known  []byte
	name   string
	key    *keyPair

	certificate *ssh.Certificate
	authorities []ssh.PublicKey
}

var _ Output = (*Login)(nil)

// NewLogin checks the configuration.
func NewLogin(config LoginConfig) (*Login, error) {
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
	return &Login{place: place{path: config.Path, size: len(known)}, config: config, hosts: hosts, known: known}, nil
}

// Type implements Output.
func (*Login) Type() string { return TypeLogin }

// Names implements Output.
func (*Login) Names() []string {
	return []string{filePublicKey, fileSSHCert, fileKnownHosts, fileSSHConfig}
}

// Request implements Output.
func (o *Login) Request(prefix string, random io.Reader) ([]api.CredentialRequest, error) {
	key, err := newKeyPair(random)
	if err != nil {
		return nil, err
	}
	o.name, o.key = prefix+"ssh", key
	return []api.CredentialRequest{{Name: o.name, Type: api.TypeSSH, PublicKey: keyLine(key.ssh), Roles: o.config.Roles}}, nil
}

// Accept implements Output.
func (o *Login) Accept(g Granted) (*Result, error) {
	granted, err := find(g.Response, o.name, api.TypeSSH)
	if err != nil {
		return nil, err
	}
	users, err := parseAuthorities(g.Response.Authorities.SSHUser)
	if err != nil {
		return nil, err
	}
	cert, err := checkSSH(granted.Certificate, o.key.ssh, users, g.Now)
	if err != nil {
		return nil, err
	}
	hosts, err := parseAuthorities(g.Response.Authorities.SSHHost)
	if err != nil {
		return nil, err
	}
	o.certificate, o.authorities = cert, hosts
	return &Result{
		Files: []destination.File{
			{Name: filePublicKey, Data: []byte(keyLine(o.key.ssh) + "\n")},
			{Name: fileSSHCert, Data: []byte(keyLine(cert) + "\n")},
			{Name: fileKnownHosts, Data: knownHosts(o.hosts, hosts, o.known)},
			{Name: fileSSHConfig, Data: agentConfig(g.Path)},
		},
		Principals: slices.Clone(cert.ValidPrincipals),
		Expires:    sshTime(cert.ValidBefore),
	}, nil
}

// Key is the private key. It must not leave this process, except into an ssh-agent.
func (o *Login) Key() *ecdsa.PrivateKey { return o.key.private }

// Certificate is what was granted; nil before Accept.
func (o *Login) Certificate() *ssh.Certificate { return o.certificate }

// HostAuthorities are the keys that sign the certificates of hosts; nil before Accept.
func (o *Login) HostAuthorities() []ssh.PublicKey { return o.authorities }

// agentConfig is sshConfig for a key that only the agent in dir has: that agent
// serves one certificate, so there is nothing to choose from.
func agentConfig(dir string) []byte {
	path := func(name string) string {
		return `"` + strings.ReplaceAll(filepath.Join(dir, name), "%", "%%") + `"`
	}
	return fmt.Appendf(nil, `# Written by gatepass; gone when its command ends. Use: ssh -F FILE user@host
Host *
    IdentityAgent %s
    IdentityFile none
    UserKnownHostsFile %s
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
`, path(FileAgentSocket), path(fileKnownHosts))
}
