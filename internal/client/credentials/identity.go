package credentials

import (
	"github.com/gatepass-ci/gatepass/internal/words"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Kinds of outputs for SSH.
const (
	// TypeIdentity is for OpenSSH and for TLS as the bot itself.
	TypeIdentity = "identity"
	// TypeLogin is for SSH alone, and its key is in no file.
	TypeLogin = "login"
)

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

// FileAgentSocket is where a login's ssh_config looks for the agent that holds
// its key: in the directory of the login's files.
const FileAgentSocket = "agent.sock"

const optionKnownHosts = "known-hosts"

// sshOptions say which hosts are known.
func sshOptions() []Option {
	return []Option{
		{Name: "ssh-hosts", Type: Many, Help: "host pattern that the service's SSH host authority vouches for; repeatable (default *)"},
		{Name: optionKnownHosts, File: true, Help: "known_hosts file with the keys of hosts that have no certificate"},
	}
}

func identity() Kind {
	return Kind{
		Name: TypeIdentity, Aliases: []string{"ssh", "id"},
		Short:   "an SSH and an X.509 certificate for the bot itself",
		Options: sshOptions(),
		Ignored: []Ignored{
			{"cluster", "there are no clusters"},
			{"ssh_config", "it is always written"},
			{"allow_reissue", "credentials are never reissued from one another"},
		},
		output: newIdentity,
	}
}

// newIdentity is one key with an SSH and an X.509 certificate.
func newIdentity(w *Wish, place Place) (*Output, error) {
	o, err := newSSH(w, place)
	if err != nil {
		return nil, err
	}
	o.asks = append(o.asks, api.CredentialRequest{Name: "tls", Type: api.TypeX509, Usage: api.UsageIdentity})
	o.files = []file{
		{fileKey, (*granted).privateKey},
		{filePublicKey, (*granted).publicKeyLine},
		{fileSSHCert, (*granted).sshCertificate},
		{fileTLSCert, (*granted).certificate},
		{fileAuthority, (*granted).authority},
		{fileKnownHosts, (*granted).knownHosts},
		{fileSSHConfig, sshConfig},
	}
	o.next = func(g *granted) string {
		return "ssh -F " + g.path(fileSSHConfig) + " " + words.ShellWord(api.Login(g.login.ValidPrincipals[0])) + "@HOST"
	}
	o.warnings = func(g *granted) []string {
		if len(g.hostAuthorities) > 0 || len(g.hostLines) > 0 {
			return nil
		}
		return []string{"the service has no SSH host authority and no --known-hosts was given, so ssh will know no host; give --known-hosts FILE"}
	}
	return o, nil
}

// Login is the kind of output for SSH alone, whose key stays in this process. Its
// files hold no secret. It is not for configuration files: an agent must serve the key.
func Login() Kind {
	return Kind{Name: TypeLogin, Options: sshOptions(), output: newLogin}
}

func newLogin(w *Wish, place Place) (*Output, error) {
	o, err := newSSH(w, place)
	if err != nil {
		return nil, err
	}
	o.files = []file{
		{filePublicKey, (*granted).publicKeyLine},
		{fileSSHCert, (*granted).sshCertificate},
		{fileKnownHosts, (*granted).knownHosts},
		{fileSSHConfig, agentConfig},
	}
	return o, nil
}

// newSSH is an output with an SSH certificate, and no file yet.
func newSSH(w *Wish, place Place) (*Output, error) {
	hosts, err := hostPatterns(w.List("ssh-hosts"))
	if err != nil {
		return nil, err
	}
	known, err := w.readKnownHosts()
	if err != nil {
		return nil, err
	}
	if place.Path != "" {
		if err := checkConfigPath(place.Path); err != nil {
			return nil, err
		}
	}
	return &Output{
		Kind: w.Kind.Name, Place: place, known: len(known), hosts: hosts, hostLines: known,
		asks: []api.CredentialRequest{{Name: "ssh", Type: api.TypeSSH}},
	}, nil
}
