package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/hostsetup"
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

	apply, check, reload bool
	print                string
	root                 string
}

const (
	asScript      = "script"
	asCloudConfig = "cloud-config"
)

func (c *hosts) hostSetupCommand() *cobra.Command {
	var s hostSetup
	cmd := &cobra.Command{
		Use:   "setup --logins NAME,… [--labels NAME=VALUE,…] [--apply | --check]",
		Short: "what a host needs to let in by certificate: print it, write it, or tell what is missing",
		Long: `setup prints a script that makes this or another host take certificates of the
service for the logins named, and for roles whose node_labels the host's labels
satisfy. --apply does it here, as root; --check says what is missing, and changes
nothing. The host needs no access to the store: give it the authority by
--authority FILE, or by --server and the fingerprints that ca export shows.`,
		Example: `  gatepassctl host setup --logins deploy --labels env=prod,tier=web > setup.sh
  gatepassctl host setup --logins deploy,app --labels env=prod --authority user_ca.pub --apply
  gatepassctl host setup --logins deploy --server https://join.example.com --fingerprint SHA256:… --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.misuse(cmd); err != nil {
				return err
			}
			host, err := c.host(cmd, &s)
			if err != nil {
				return err
			}
			switch {
			case s.apply:
				return c.applyHost(cmd.Context(), &s, host)
			case s.check:
				return c.checkHost(cmd, &s, host)
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
	flags.BoolVar(&s.revoked, "revoked-keys", false, "have sshd refuse what is in "+hostsetup.RevokedKeysFile)
	flags.BoolVar(&s.apply, "apply", false, "set this host up, as root")
	flags.BoolVar(&s.check, "check", false, "tell what is missing on this host")
	flags.BoolVar(&s.reload, "reload", false, "with --apply: have sshd read its configuration again")
	flags.StringVar(&s.print, "print", asScript, "print a script, or cloud-config for cloud-init")
	flags.StringVar(&s.root, "root", "/", "with --apply or --check: where the host's / is, such as an image's")
	return cmd
}

func (s *hostSetup) misuse(cmd *cobra.Command) error {
	switch {
	case s.apply && s.check:
		return cli.Misused("both --apply and --check were given").Hint("write one of them; --check changes nothing")
	case s.reload && !s.apply:
		return cli.Misused("--reload is of --apply").Hint("write --apply --reload")
	case s.reload && s.root != "/":
		return cli.Misused("below --root no sshd runs").Hint("leave --reload out")
	case cmd.Flags().Changed("print") && (s.apply || s.check):
		return cli.Misused("--print is neither --apply nor --check").Hint("write one of them")
	case s.print != asScript && s.print != asCloudConfig:
		return cli.Misused("unknown form %q", s.print).Hint("write --print %s or %s", asScript, asCloudConfig)
	case len(s.logins)+len(s.accounts) == 0:
		return cli.Missing(cmd, "--logins")
	}
	return nil
}

// host makes of the flags what the host shall be.
func (c *hosts) host(cmd *cobra.Command, s *hostSetup) (*hostsetup.Host, error) {
	labels, err := rules.ParseLabels(s.labels)
	if err != nil {
		return nil, cli.Misused("--labels: %w", err).Hint("write --labels env=prod,tier=web, as in node_labels of roles")
	}
	h := &hostsetup.Host{Labels: labels, Accounts: map[string][]string{}, HostCertificates: s.certificates, RevokedKeys: s.revoked}
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
	if _, err := h.Files(); err != nil {
		return nil, cli.Misused("%w", err).Hint("see gatepassctl host setup --help")
	}
	return h, nil
}

func (c *hosts) printHost(s *hostSetup, h *hostsetup.Host) error {
	files, err := h.Files()
	if err != nil {
		return err
	}
	text := hostsetup.Script(files)
	if s.print == asCloudConfig {
		if text, err = hostsetup.CloudConfig(files); err != nil {
			return err
		}
	}
	return c.Print(map[string]any{"files": files, "labels": h.Labels, "reload": hostsetup.ReloadCommand}, func() { fmt.Fprint(c.Out, text) })
}
