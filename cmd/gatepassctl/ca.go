package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
)

func (c *cli) caCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ca",
		Short:   "the authorities that servers trust",
		Example: "  gatepassctl ca export --type ssh-user --data ./gatepass-data > /etc/ssh/gatepass-user-ca.pub",
		Args:    cobra.NoArgs,
		RunE:    needsCommand,
	}
	cmd.AddCommand(c.caExportCommand())
	return cmd
}

func (c *cli) caExportCommand() *cobra.Command {
	var (
		purpose     string
		fingerprint bool
	)
	cmd := &cobra.Command{
		Use:   "export --type AUTHORITY",
		Short: "print an authority's public key or certificate, checked against its signing key",
		Long: `export prints what a server trusts: an authorized_keys line for ssh-user and
ssh-host, PEM certificates for x509-*, a JWK set for jwt. It is read from the
signing key itself.`,
		Example: "  gatepassctl ca export --type ssh-user --data ./gatepass-data\n  gatepassctl ca export --type x509-database --fingerprint",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "type"); err != nil {
				return err
			}
			p := cert.Purpose(purpose)
			if !slices.Contains(cert.Purposes(), p) {
				return misused("write one of "+purposeList(), "unknown authority %q", purpose)
			}
			authority, err := c.authority(cmd, p)
			if err != nil {
				return err
			}
			if fingerprint {
				return c.printFingerprints(authority)
			}
			text, err := admin.Export(authority)
			if err != nil {
				return err
			}
			_, err = c.out.Write([]byte(text))
			return err
		},
	}
	cmd.Flags().StringVar(&purpose, "type", "", "one of "+purposeList())
	cmd.Flags().BoolVar(&fingerprint, "fingerprint", false, "print the SHA-256 fingerprint instead")
	return cmd
}

func purposeList() string {
	var names []string
	for _, p := range cert.Purposes() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// authority returns one authority, ready to sign.
func (c *cli) authority(cmd *cobra.Command, p cert.Purpose) (*join.Authority, error) {
	b, err := c.open(cmd.Context(), false)
	if err != nil {
		return nil, err
	}
	defer b.close()
	all, err := b.authorities()
	if err != nil {
		return nil, err
	}
	authority, err := all.Authority(cmd.Context(), p)
	if isNotFound(err) {
		return nil, failed(b.makesAuthorities, "there is no %s authority in %s", p, b.where)
	}
	return authority, err
}

func (c *cli) printFingerprints(a *join.Authority) error {
	prints, err := admin.Fingerprints(a)
	if err != nil {
		return err
	}
	return c.print(prints, func() {
		for _, p := range prints {
			fmt.Fprintln(c.out, p)
		}
	})
}

func (c *cli) hostCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "host",
		Short:   "certificates of SSH hosts",
		Example: "  gatepassctl host sign --principals web-1.example.com /etc/ssh/ssh_host_ed25519_key.pub",
		Args:    cobra.NoArgs,
		RunE:    needsCommand,
	}
	cmd.AddCommand(c.hostSignCommand())
	return cmd
}

func (c *cli) hostSignCommand() *cobra.Command {
	var (
		principals []string
		ttl        time.Duration
	)
	cmd := &cobra.Command{
		Use:   "sign --principals NAME,… KEY.pub",
		Short: "sign a host's key, so that clients know the host without known_hosts",
		Long: `sign prints a host certificate. Put it beside the host's key and name it in
sshd_config by HostCertificate.`,
		Example: "  gatepassctl host sign --principals web-1.example.com,10.0.0.5 ssh_host_ed25519_key.pub > ssh_host_ed25519_key-cert.pub",
		Args:    exactly("KEY.pub"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "principals"); err != nil {
				return err
			}
			key, err := c.readInput(args[0])
			if err != nil {
				return err
			}
			authority, err := c.authority(cmd, cert.SSHHost)
			if err != nil {
				return err
			}
			line, err := admin.SignHost(authority, string(key), principals, ttl, c.now())
			if err != nil {
				return failed("give the public key of a host, such as /etc/ssh/ssh_host_ed25519_key.pub, and the names that clients use for it",
					"signing %s: %w", args[0], err)
			}
			fmt.Fprintln(c.out, line)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&principals, "principals", nil, "names and addresses by which clients reach the host")
	cmd.Flags().DurationVar(&ttl, "ttl", 90*24*time.Hour, "how long the certificate is valid")
	return cmd
}
