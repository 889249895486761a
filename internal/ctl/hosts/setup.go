package hosts

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// hostSetup is what host setup was told.
type hostSetup struct {
	labels       string
	logins       []string
	accounts     []string
	certificates []string
	revoked      bool
	authority    authoritySource

	as     string
	output string
}

// What host setup is printed as.
const (
	asScript    = "script"
	asCloudInit = "cloud-init"
	asAnsible   = "ansible"
)

func (c *commands) setupCommand() *cobra.Command {
	var s hostSetup
	cmd := &cobra.Command{
		Use:   "setup --logins NAME,… [--labels NAME=VALUE,…] [--as script|cloud-init|ansible]",
		Short: "print what sets a host up to let in by certificate: a script, cloud-init or an Ansible role",
		Long: `setup prints a script that makes a host take certificates of the service for the
logins named, and for roles whose node_labels the host's labels satisfy. Run it on
the host as root, as often as you like: it changes only what differs, and takes
everything back if sshd refuses it. With the argument check it changes nothing and
says what is not as it should be. The host needs nothing else of Gatepass.

--as cloud-init prints user data for new hosts that runs the script; --as ansible
writes a role to the folder that --output names.

The authority comes from the store. Where the store cannot be read, write
--authority FILE, or --server and the fingerprints that ca export shows.`,
		Example: `  gatepassctl host setup --logins deploy --labels env=prod,tier=web > setup.sh
  ssh root@web-1 sh < setup.sh
  ssh root@web-1 sh -s check < setup.sh
  gatepassctl host setup --logins deploy,app --as cloud-init > user-data
  gatepassctl host setup --logins deploy --as ansible -o roles/gatepass_host`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.misuse(cmd, c.Format); err != nil {
				return err
			}
			host, err := c.host(cmd, &s)
			if err != nil {
				return err
			}
			return c.printHost(&s, host)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&s.logins, "logins", nil, "logins that are local accounts of the same name")
	flags.StringArrayVar(&s.accounts, "account", nil, "ACCOUNT=LOGIN,…: a local account that is opened by other logins; repeatable")
	flags.StringVar(&s.labels, "labels", "", "NAME=VALUE,…: what node_labels of roles are compared with")
	flags.StringVar(&s.authority.file, "authority", "", "file with the ssh-user authority's public keys, or - for standard input")
	flags.StringVar(&s.authority.server, "server", "", "URL of the service, to take the authority from")
	flags.StringArrayVar(&s.authority.fingerprints, "fingerprint", nil, "SHA256:… of a key that the service may answer with; repeatable")
	flags.StringArrayVar(&s.certificates, "host-certificate", nil, "absolute path on the host of a certificate that host sign made; repeatable")
	flags.BoolVar(&s.revoked, "revoked-keys", false, "have sshd refuse what is in "+RevokedKeysFile)
	flags.StringVar(&s.as, "as", asScript, "script, cloud-init or ansible")
	flags.StringVarP(&s.output, "output", "o", "", "write to this file, and not to standard output; for ansible the role's folder")
	return cmd
}

func (s *hostSetup) misuse(cmd *cobra.Command, format string) error {
	switch {
	case !slices.Contains([]string{asScript, asCloudInit, asAnsible}, s.as):
		return cli.Misused("unknown form %q", s.as).Hint("write --as %s, %s or %s", asScript, asCloudInit, asAnsible)
	case format != "text" && (cmd.Flags().Changed("as") || s.output != ""):
		return cli.Misused("--format %s prints the files by themselves, and is neither for --as nor for --output", format).Hint("write one of them")
	case s.as == asAnsible && s.output == "":
		return cli.Misused("a role is a folder, and --output is missing").Hint("name the role's folder, as --output roles/gatepass_host")
	case len(s.logins)+len(s.accounts) == 0:
		return cli.Missing(cmd, "--logins")
	}
	return nil
}

// host makes of the flags what the host shall be.
func (c *commands) host(cmd *cobra.Command, s *hostSetup) (*Host, error) {
	labels, err := rules.ParseLabels(s.labels)
	if err != nil {
		return nil, cli.Misused("--labels: %w", err).Hint("write --labels env=prod,tier=web, as in node_labels of roles")
	}
	h := &Host{Labels: labels, Accounts: map[string][]string{}, HostCertificates: s.certificates, RevokedKeys: s.revoked}
	for _, login := range s.logins {
		h.Accounts[login] = append(h.Accounts[login], login)
	}
	for _, line := range s.accounts {
		account, logins, ok := strings.Cut(line, "=")
		if !ok {
			return nil, cli.Misused("--account %q has no =", line).Hint("write --account app=deploy: the local account first, then the logins that may be it")
		}
		h.Accounts[account] = append(h.Accounts[account], strings.Split(logins, ",")...)
	}
	if h.Authority, err = c.userAuthority(cmd, &s.authority); err != nil {
		return nil, err
	}
	if h.HostAuthorities, err = c.hostAuthorities(cmd, s); err != nil {
		return nil, err
	}
	if _, err := h.Files(); err != nil {
		return nil, cli.Misused("%w", err).Hint("see gatepassctl host setup --help")
	}
	return h, nil
}

// hostAuthorities are the fingerprints of the keys that host certificates may be signed by;
// none where the store is not asked.
func (c *commands) hostAuthorities(cmd *cobra.Command, s *hostSetup) ([]string, error) {
	if len(s.certificates) == 0 || s.authority.file != "" || s.authority.server != "" {
		return nil, nil
	}
	text, err := c.storedAuthority(cmd, cert.SSHHost)
	if err != nil {
		return nil, err
	}
	return fingerprints(text)
}

func (c *commands) printHost(s *hostSetup, h *Host) error {
	if s.as == asAnsible {
		return c.writeRole(s.output, h)
	}
	text, err := h.Script()
	if s.as == asCloudInit {
		text, err = h.CloudInit()
	}
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
	if s.output != "" {
		return ctl.ReplaceFile(s.output, 0o644, write)
	}
	files, err := h.Files()
	if err != nil {
		return err
	}
	return c.Print(map[string]any{"files": files, "labels": h.Labels, "reload": ReloadCommand}, func() { err = write(c.Out) })
}

// writeRole writes an Ansible role to a folder, over one that it wrote before.
func (c *commands) writeRole(folder string, h *Host) error {
	files, err := h.Role()
	if err != nil {
		return err
	}
	for name := range files {
		path := filepath.Join(folder, name)
		before, err := os.ReadFile(path)
		if err == nil && !own(string(before)) {
			return cli.Failed("%s: not written by gatepassctl host setup, and not overwritten", path).Hint("name another folder, or move the file away; nothing was written")
		}
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := ctl.ReplaceFile(path, 0o644, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.Out, "wrote the role %s\n", folder)
	return nil
}
