package authorities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// listFiles are where the lists are written; empty names are not.
type listFiles struct{ krl, crl string }

func (f *listFiles) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.krl, "krl", "", "write the OpenSSH KRL of all that is revoked to this file")
	cmd.Flags().StringVar(&f.crl, "crl", "", "write the X.509 CRLs of all that is revoked to this file, in PEM")
}

func (f listFiles) none() bool { return f.krl == "" && f.crl == "" }

// writeLists writes files that servers read: whole, or not at all, and of all that is
// revoked, since a server has no other list.
func (c *commands) writeLists(ctx context.Context, b ctl.Backend, files listFiles, all []store.Revocation, stored bool) error {
	var krl []byte
	var crl string
	var err error
	if files.krl != "" {
		if krl, err = c.KRL(ctx, all); err != nil {
			return c.noList(b, err)
		}
	}
	if files.crl != "" {
		if crl, err = b.CRL(ctx, all, stored); err != nil {
			return c.noList(b, err)
		}
	}
	return errors.Join(writeList(files.krl, krl), writeList(files.crl, []byte(crl)))
}

func writeList(file string, list []byte) error {
	if file == "" {
		return nil
	}
	return ctl.WriteFile(file, 0o644, list)
}

func (c *commands) noList(b ctl.Backend, err error) error {
	if hinted, ok := errors.AsType[*cli.Error](err); ok {
		return hinted
	}
	if errors.Is(err, authority.ErrNone) {
		return cli.Failed("there is no authority to make the list for in %s", b).Hint("%s", b.MakesAuthorities())
	}
	return cli.Failed("the list could not be made: %w", err).Hint("what is revoked is stored all the same; write the files again with gatepassctl revoke export")
}

func (c *commands) revokeExportCommand() *cobra.Command {
	var files listFiles
	cmd := &cobra.Command{
		Use:   "export",
		Short: "write the lists of all that is revoked to files",
		Long: `export writes the lists that the service serves to files, for servers that cannot
reach it, and before anything is revoked: sshd refuses every key while its file of
RevokedKeys is missing, and an empty list is one that it takes.`,
		Example: "  gatepassctl revoke export --krl revoked.krl --crl revoked.crl --data ./gatepass-data",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if files.none() {
				return cli.Misused("there is no file to write to").Hint("write --krl FILE or --crl FILE, or both")
			}
			return nil
		},
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
			all, err := b.Store().Revocations(ctx)
			if err != nil {
				return err
			}
			if err := c.writeLists(ctx, b, files, all, true); err != nil {
				return err
			}
			return c.Print(map[string]string{"krl": files.krl, "crl": files.crl}, func() {})
		}),
	}
	files.flags(cmd)
	return cmd
}

func (c *commands) revokeLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list what is revoked and has not ended",
		Example: "  gatepassctl revoke ls --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
			all, err := b.Store().Revocations(ctx)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(r store.Revocation) bool { return !r.Ends().After(c.Now()) })
			slices.SortFunc(all, func(x, y store.Revocation) int {
				return cmp.Or(y.At.Compare(x.At), strings.Compare(y.ID, x.ID))
			})
			return c.Print(ctl.NonNil(all), func() { c.printRevocations(all) })
		}),
	}
}

func (c *commands) printRevocations(all []store.Revocation) {
	rows := [][]string{{"REVOKED", "BOT", "TOKEN", "CERTIFICATES", "WHEN", "BY", "UNTIL", "REASON"}}
	for _, r := range all {
		rows = append(rows, []string{r.ID, cmp.Or(words.Visible(r.Bot), "-"), cmp.Or(words.Visible(r.Token), "-"), fmt.Sprint(len(r.Certificates)),
			ctl.Ago(c.Now(), r.At), words.Visible(r.By), ctl.Stamp(r.Ends()), cmp.Or(words.Visible(r.Reason), "-")})
	}
	c.Table(rows)
}
