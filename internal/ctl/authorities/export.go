// Package authorities has the commands of gatepassctl about the authorities: what
// servers trust of them, their rotation, and the certificates that they revoke.
package authorities

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

// commands are those of this package.
type commands struct{ *ctl.Env }

// Commands are ca and revoke.
func Commands(env *ctl.Env) []*cobra.Command {
	c := &commands{env}
	return []*cobra.Command{c.caCommand(), c.revokeCommand()}
}

func (c *commands) caCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ca",
		Short:   "the authorities that servers trust",
		Example: "  gatepassctl ca export --type ssh-user --data ./gatepass-data -o user_ca.pub\n  gatepassctl ca rotate",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	cmd.AddCommand(c.caExportCommand(), c.caRotateCommand())
	return cmd
}

func (c *commands) caExportCommand() *cobra.Command {
	var (
		purpose, form, file string
		fingerprint         bool
		options             authority.ExportOptions
	)
	cmd := &cobra.Command{
		Use:   "export --type AUTHORITY",
		Short: "print what a server trusts of an authority, checked against its signing key",
		Long: `export prints what a server trusts, in the form that it takes; the first is the
usual one:

  ssh-user   ssh (for TrustedUserCAKeys), authorized-keys (one account's, with --principals)
  ssh-host   ssh, known-hosts (clients', with --hosts)
  x509-*     pem, der, p12 (a Java trust store; its password is changeit)
  jwt        jwks, pem

It is read from the signing key itself. During a rotation it has both keys.`,
		Example: `  gatepassctl ca export --type ssh-user --data ./gatepass-data -o user_ca.pub
  gatepassctl ca export --type ssh-host --hosts '*.example.com' >> ~/.ssh/known_hosts
  gatepassctl ca export --type x509-application --form p12 -o gatepass.p12
  gatepassctl ca export --type x509-database --fingerprint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "type"); err != nil {
				return err
			}
			p := cert.Purpose(purpose)
			if !slices.Contains(cert.Purposes(), p) {
				return cli.Misused("unknown authority %q", purpose).Hint("write one of %s", purposeList())
			}
			as, err := formOf(p, form, options)
			if err != nil {
				return err
			}
			a, err := c.Authority(cmd.Context(), p)
			if err != nil {
				return err
			}
			if fingerprint {
				return c.printFingerprints(a)
			}
			content, err := authority.Export(a, as, options)
			if wrong, ok := errors.AsType[*authority.ExportError](err); ok {
				return cli.Misused("%w", err).Hint("%s", exportHint(p, wrong.Wrong))
			}
			if err != nil {
				return err
			}
			return c.writeExport(a, as, content, file)
		},
	}
	f := cmd.Flags()
	f.StringVar(&purpose, "type", "", "one of "+purposeList())
	f.StringVar(&form, "form", "", "another form than the usual one")
	f.StringSliceVar(&options.Hosts, "hosts", nil, "host patterns for known-hosts lines of ssh-host")
	f.StringSliceVar(&options.Principals, "principals", nil, "principals for authorized-keys lines of ssh-user")
	f.BoolVar(&fingerprint, "fingerprint", false, "print SHA-256 fingerprints instead, as ssh-keygen -l and openssl do; a kid for jwt")
	f.StringVarP(&file, "output", "o", "", "file to replace, whole or not at all")
	completeType(cmd)
	ctl.CompleteFlag(cmd, "principals", cobra.NoFileCompletions)
	return cmd
}

// exportHint says what to ask for instead.
func exportHint(p cert.Purpose, wrong authority.ExportPart) string {
	switch wrong {
	case authority.ExportHosts:
		return "write the hosts that the authority may speak for, such as --hosts '*.example.com'"
	case authority.ExportPrincipals:
		return "write principals as certificates name them, such as --principals deploy"
	case authority.ExportOneOnly:
		return "export it as PEM, which holds both"
	}
	return "write --form " + ctl.List(authority.Forms(p), " or ")
}

// formOf is the form that was asked for. --hosts and --principals ask for theirs.
func formOf(p cert.Purpose, form string, o authority.ExportOptions) (authority.Form, error) {
	implied := authority.Form("")
	switch {
	case len(o.Hosts) > 0:
		implied = authority.FormKnownHosts
	case len(o.Principals) > 0:
		implied = authority.FormAuthorizedKeys
	}
	switch {
	case form == "" && implied == "":
		return authority.Forms(p)[0], nil
	case form == "":
		return implied, nil
	case implied != "" && authority.Form(form) != implied:
		return "", cli.Misused("--form %s does not go with what --form %s takes", form, implied).Hint("leave one of them out")
	}
	return authority.Form(form), nil
}

// exported is an export for machines.
type exported struct {
	Type         cert.Purpose   `json:"type"`
	Form         authority.Form `json:"form"`
	Fingerprints []string       `json:"fingerprints"`
	Content      string         `json:"content,omitempty"`
	Binary       []byte         `json:"binary,omitempty"` // base64, for forms that are no text
	File         string         `json:"file,omitempty"`
}

func (c *commands) writeExport(a *authority.Authority, form authority.Form, content []byte, file string) error {
	prints, err := a.Fingerprints()
	if err != nil {
		return err
	}
	e := exported{Type: a.Purpose, Form: form, Fingerprints: prints, File: file}
	binary := form == authority.FormDER || form == authority.FormPKCS12
	if file != "" {
		// Nothing in it is secret, and servers read it with rights of their own.
		if err := ctl.WriteFile(file, 0o644, content); err != nil {
			return err
		}
		return c.Print(e, func() {
			for _, p := range prints {
				fmt.Fprintf(c.Out, "%s: %s %s\n", file, a.Purpose, p)
			}
		})
	}
	if binary {
		e.Binary = content
	} else {
		e.Content = string(content)
	}
	if cli.IsTerminal(c.Out) && binary && c.Format == "text" {
		return cli.Misused("%s is no text for a terminal", form).Hint("write -o FILE")
	}
	if c.Format != "text" {
		return c.Print(e, nil)
	}
	_, err = cli.Unguarded(c.Out).Write(content)
	return err
}

func completeType(cmd *cobra.Command) {
	cli.Complete(cmd, "type", strings.Split(purposeList(), ", ")...)
}

func purposeList() string { return ctl.List(cert.Purposes(), ", ") }

func (c *commands) printFingerprints(a *authority.Authority) error {
	prints, err := a.Fingerprints()
	if err != nil {
		return err
	}
	return c.Print(prints, func() {
		for _, p := range prints {
			fmt.Fprintln(c.Out, p)
		}
	})
}
