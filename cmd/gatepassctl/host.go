package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cert"
)

// hostCommands are those about the servers that trust an authority.
func (c *cli) hostCommands() []*cobra.Command {
	return []*cobra.Command{c.hostCommand()}
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
