package credentials

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// hostPatterns checks --ssh-hosts and joins them as known_hosts wants them (sshd(8)).
func hostPatterns(patterns []string) (string, error) {
	var all []string
	for _, pattern := range patterns {
		for _, p := range strings.Split(pattern, ",") {
			if !plainPattern(p) {
				return "", cli.Misused("--ssh-hosts %q is not a host pattern", words.Clean(pattern)).
					Hint("write a host name, with * and ? if needed, such as --ssh-hosts='*.prod.example.com'")
			}
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return "*", nil
	}
	return strings.Join(all, ","), nil
}

// plainPattern refuses what would end the field, the line, or begin a hash or a comment.
func plainPattern(p string) bool {
	return words.Plain(strings.TrimPrefix(p, "!"), ".-_*?:[]%")
}

// knownHostsLines checks that every line of the file can be read: OpenSSH
// skips what it cannot read, and a host would be unknown without a word.
func knownHostsLines(raw []byte) ([]byte, error) {
	var out []byte
	for number, line := range bytes.Split(raw, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if _, _, _, _, _, err := ssh.ParseKnownHosts(line); err != nil {
			return nil, cli.Misused("line %d of the --known-hosts file is not a known_hosts line", number+1).
				Hint("each line is a host name, a key type and a key, as ssh-keyscan prints them")
		}
		out = append(append(out, line...), '\n')
	}
	return out, nil
}

func knownHosts(patterns string, authorities []ssh.PublicKey, lines []byte) []byte {
	var b bytes.Buffer
	for _, authority := range authorities {
		fmt.Fprintf(&b, "@cert-authority %s %s\n", patterns, keyLine(authority))
	}
	b.Write(lines)
	return b.Bytes()
}

// checkConfigPath refuses the few characters that ssh_config(5) has no way to
// quote everywhere a path of it is read.
func checkConfigPath(path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if strings.ContainsAny(absolute, "\"\\") || strings.Contains(absolute, "${") || strings.ContainsFunc(absolute, unicode.IsControl) {
		return cli.Misused("the path of the destination %q has a character that ssh_config cannot hold", absolute).
			Hint("choose a --destination without quotes, backslashes, ${ and control characters")
	}
	return nil
}

// sshConfig is a configuration that uses this identity and nothing else of the
// machine's: no agent, no other key, no other known host, no question asked.
func sshConfig(g *granted) ([]byte, error) {
	return fmt.Appendf(nil, `# Written by gatepass; replaced by the next join. Use: ssh -F FILE user@host
Host *
    IdentityFile %s
    CertificateFile %s
    IdentitiesOnly yes
    IdentityAgent none
%s`, configPath(g.dir, fileKey), configPath(g.dir, fileSSHCert), onlyKnownHosts(g.dir)), nil
}

// agentConfig is sshConfig for a key that only the agent in the directory has: that
// agent serves one certificate, so there is nothing to choose from.
func agentConfig(g *granted) ([]byte, error) {
	return fmt.Appendf(nil, `# Written by gatepass; gone when its command ends. Use: ssh -F FILE user@host
Host *
    IdentityAgent %s
    IdentityFile none
%s`, configPath(g.dir, FileAgentSocket), onlyKnownHosts(g.dir)), nil
}

func onlyKnownHosts(dir string) string {
	return fmt.Sprintf(`    UserKnownHostsFile %s
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
`, configPath(dir, fileKnownHosts))
}

// configPath is a path in an ssh_config. Percent signs begin a token in these options
// (ssh_config(5), TOKENS).
func configPath(dir, name string) string {
	return `"` + strings.ReplaceAll(filepath.Join(dir, name), "%", "%%") + `"`
}
