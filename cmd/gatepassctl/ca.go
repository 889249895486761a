package main

import (
	"fmt"
	"slices"
	"strings"

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
