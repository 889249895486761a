package credentials

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// Environ is an environment in the making.
type Environ struct {
	list []string // NAME=value
	ours []string // names that outputs have set
}

// NewEnviron begins with a copy of what this process has.
func NewEnviron(base []string) *Environ { return &Environ{list: slices.Clone(base)} }

// Unset removes a variable, however often it is there.
func (e *Environ) Unset(names ...string) {
	e.list = slices.DeleteFunc(e.list, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}

// Set puts a variable in place of any of its name.
func (e *Environ) Set(name, value string) {
	e.Unset(name)
	e.list = append(e.list, name+"="+value)
}

// List is the environment as execve(2) wants it.
func (e *Environ) List() []string { return slices.Clone(e.list) }

// SetSSH lets ssh, scp, sftp, rsync and git log in with the agent on socket and
// the ssh_config in dir. What the job has set for another agent or another key
// would win over a config file, so it is replaced.
func (e *Environ) SetSSH(dir, socket string) {
	config := path.Join(dir, fileSSHConfig)
	e.Unset("SSH_AGENT_PID", "GIT_SSH")
	e.Set("SSH_AUTH_SOCK", socket)
	// The folder's path has no character that a shell or rsync would split at.
	e.Set("GIT_SSH_COMMAND", "ssh -F "+config)
	e.Set("GIT_SSH_VARIANT", "ssh")
	e.Set("RSYNC_RSH", "ssh -F "+config)
	e.Set("GATEPASS_SSH_CONFIG", config)
	e.Set("GATEPASS_KNOWN_HOSTS", path.Join(dir, fileKnownHosts))
}

// SetSSHFiles tells where the files of an identity are that ssh and scp take by a flag.
// Nothing is set that programs look for by themselves: the lines of a script that
// follow may have business with other hosts by other keys.
func (e *Environ) SetSSHFiles(dir string) {
	e.setFirst("GATEPASS_SSH_CONFIG", path.Join(dir, fileSSHConfig))
	e.setFirst("GATEPASS_KNOWN_HOSTS", path.Join(dir, fileKnownHosts))
}

// Script is the environment for a POSIX shell to source: an exported assignment in
// single quotes for each variable, in which nothing is expanded.
func (e *Environ) Script(comment string) []byte {
	text := []byte("# " + comment + "\n")
	for _, entry := range e.list {
		name, value, _ := strings.Cut(entry, "=")
		text = fmt.Appendf(text, "export %s=%s\n", name, words.ShellQuote(value))
	}
	return text
}

// SetJoin tells what the credentials are.
func (e *Environ) SetJoin(joinID, bot string, expires time.Time) {
	e.Set("GATEPASS_JOIN_ID", joinID)
	e.Set("GATEPASS_BOT", bot)
	e.Set("GATEPASS_EXPIRES_AT", expires.UTC().Format(time.RFC3339))
}

// SetOutput names an output's directory, and lets programs find the files that they
// look for by themselves. Of several outputs of a kind the first one counts.
func (e *Environ) SetOutput(kind, dir string, variables []Variable) {
	e.setFirst("GATEPASS_"+strings.ToUpper(kind)+"_DIR", dir)
	for _, v := range variables {
		e.setFirst(v.Name, v.Value)
	}
}

// setFirst sets a variable unless an earlier output has.
func (e *Environ) setFirst(name, value string) {
	if !slices.Contains(e.ours, name) {
		e.ours = append(e.ours, name)
		e.Set(name, value)
	}
}
