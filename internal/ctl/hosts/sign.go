package hosts

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
)

// commands are those of this package.
type commands struct{ *ctl.Env }

// Command is host, about the servers that trust an authority.
func Command(env *ctl.Env) *cobra.Command {
	c := &commands{env}
	cmd := &cobra.Command{
		Use:   "host",
		Short: "SSH hosts: what they need, and certificates for their keys",
		Example: "  gatepassctl host setup --logins deploy --labels env=prod,tier=web\n" +
			"  gatepassctl host sign --principals web-1.example.com /etc/ssh/ssh_host_ed25519_key.pub",
		Args: cobra.NoArgs,
		RunE: cli.NeedsCommand,
	}
	cmd.AddCommand(c.signCommand(), c.setupCommand())
	return cmd
}

// hostSign is what host sign was told.
type hostSign struct {
	principals []string
	ttl        time.Duration
	output     string
	write      bool
}

func (c *commands) signCommand() *cobra.Command {
	var s hostSign
	cmd := &cobra.Command{
		Use:   "sign --principals NAME,… KEY.pub…",
		Short: "sign a host's keys, so that clients know the host without known_hosts",
		Long: `sign makes host certificates and prints them, or writes them to a file or, with
--write, beside each key as KEY-cert.pub. sshd_config names them by
HostCertificate, which host setup --host-certificate writes. KEY.pub may be -,
for standard input.`,
		Example: "  gatepassctl host sign --principals web-1.example.com,10.0.0.5 --write /etc/ssh/ssh_host_*_key.pub\n" +
			"  ssh web-1 cat /etc/ssh/ssh_host_ed25519_key.pub | gatepassctl host sign --principals web-1 -",
		Args: atLeastOne("KEY.pub"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "principals"); err != nil {
				return err
			}
			return c.signHost(cmd, &s, args)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&s.principals, "principals", nil, "names and addresses by which clients reach the host")
	flags.DurationVar(&s.ttl, "ttl", authority.HostTTL, "how long the certificates are valid")
	flags.StringVarP(&s.output, "output", "o", "", "write the certificate of one key to this file")
	flags.BoolVar(&s.write, "write", false, "write each certificate beside its key, as KEY-cert.pub")
	return cmd
}

// atLeastOne wants one argument or more.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
		return nil
	}
}

// signedKey is one host certificate, as host sign shows it.
type signedKey struct {
	Key string `json:"key"`
	*authority.HostCertificate
	File string `json:"file,omitempty"` // where it was written
}

// signedKeys is what host sign prints for machines.
type signedKeys struct {
	Certificates []signedKey `json:"certificates"`
}

func (c *commands) signHost(cmd *cobra.Command, s *hostSign, keys []string) error {
	if err := s.check(keys, c.Format); err != nil {
		return err
	}
	b, err := c.Open(cmd.Context())
	if err != nil {
		return err
	}
	defer b.Close()
	a, err := ctl.Authority(cmd.Context(), b, cert.SSHHost)
	if err != nil {
		return err
	}
	// Either all are signed and then written, or none.
	var signed []signedKey
	for _, name := range keys {
		key, err := c.ReadInput(name)
		if err != nil {
			return err
		}
		certificate, err := authority.SignHost(a, string(key), s.principals, s.ttl, c.Now())
		if err != nil {
			return cli.Failed("signing %s: %w", name, err).Hint("give the public key of a host, such as /etc/ssh/ssh_host_ed25519_key.pub, and the names that clients use for it")
		}
		signed = append(signed, signedKey{Key: name, HostCertificate: certificate, File: s.file(name)})
	}
	for _, k := range signed {
		if k.File == "" {
			continue
		}
		write := func(w io.Writer) error {
			_, err := fmt.Fprintln(w, k.Certificate)
			return err
		}
		if err := ctl.ReplaceFile(k.File, 0o644, write); err != nil {
			return err
		}
	}
	return c.PrintSigned(b, signedKeys{signed}, func() {
		for _, k := range signed {
			if k.File == "" {
				fmt.Fprintln(c.Out, k.Certificate)
				continue
			}
			fmt.Fprintf(c.Out, "wrote %s, valid until %s\n", k.File, ctl.Stamp(k.ValidBefore))
		}
	})
}

func (s *hostSign) check(keys []string, format string) error {
	switch {
	case s.write && s.output != "":
		return cli.Misused("both --output and --write were given").Hint("write one of them")
	case len(keys) > 1 && s.output != "":
		return cli.Misused("--output takes the certificate of one key, and %d were given", len(keys)).Hint("write --write, which puts each certificate beside its key")
	case len(keys) > 1 && !s.write && format == "text":
		return cli.Misused("%d keys were given, whose certificates would be hard to tell apart", len(keys)).Hint("write --write, which puts each certificate beside its key, or --format json")
	}
	for _, name := range keys {
		if s.write && !strings.HasSuffix(name, ".pub") {
			return cli.Misused("%s does not end in .pub, so --write knows no name for its certificate", name).Hint("name the public key, such as ssh_host_ed25519_key.pub, or write --output FILE")
		}
	}
	return nil
}

func (s *hostSign) file(key string) string {
	if s.write {
		return strings.TrimSuffix(key, ".pub") + "-cert.pub"
	}
	return s.output
}
