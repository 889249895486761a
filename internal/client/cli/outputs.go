package cli

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
	"github.com/gatepass-ci/gatepass/internal/client/output"
)

// outputCommand is one type of output on the command line. A new type is an
// entry in outputCommands and a file in internal/client/output.
type outputCommand struct {
	name    string
	aliases []string // tbot's other names for it
	short   string
	// bind adds the output's own flags, and returns what makes the output once they are parsed.
	bind func(*pflag.FlagSet) func(path string, roles []string) (output.Output, error)
}

func outputCommands() []outputCommand {
	return []outputCommand{{
		name:    output.TypeIdentity,
		aliases: []string{"ssh", "id"},
		short:   "an SSH and an X.509 certificate for the bot itself",
		bind:    bindIdentity,
	}}
}

// futureOutputs are types that the design has and this version has not.
var futureOutputs = [...]string{"database", "application", "kubernetes", "jwt"}

// supported reports whether a configuration file may have outputs of the type.
func supported(kind string) bool {
	for _, c := range outputCommands() {
		if c.name == kind {
			return true
		}
	}
	return false
}

// noOutput refuses a word in the place of an output's type.
func noOutput(word string) error {
	for _, future := range futureOutputs {
		if word == future {
			return failure.New(failure.Usage, "output type %s is not supported by this version; write identity", word).
				Hint("use a version of gatepass that has it; `gatepass join --help` lists the types")
		}
	}
	e := failure.New(failure.Usage, "unknown output type %q", failure.Clean(word))
	return e.Hint("use `gatepass join identity`; `gatepass join --help` lists the types")
}

func bindIdentity(fs *pflag.FlagSet) func(string, []string) (output.Output, error) {
	var hosts []string
	var known string
	fs.StringArrayVar(&hosts, "ssh-hosts", nil, "host pattern that the service's SSH host authority vouches for; repeatable (default *)")
	fs.StringVar(&known, "known-hosts", "", "known_hosts file with the keys of hosts that have no certificate")
	return func(path string, roles []string) (output.Output, error) {
		config := output.IdentityConfig{Path: path, Roles: roles, SSHHosts: hosts}
		if known != "" {
			raw, err := os.ReadFile(known)
			if err != nil {
				return nil, failure.New(failure.Usage, "reading the known_hosts file: %w", err).
					Hint("make it with: ssh-keyscan HOST > FILE, and compare its fingerprints with the host's")
			}
			config.KnownHosts = raw
		}
		return output.NewIdentity(config)
	}
}
