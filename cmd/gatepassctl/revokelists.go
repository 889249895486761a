package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/revoke"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// listFiles are where the lists are written; empty names are not.
type listFiles struct{ krl, crl string }

func (f *listFiles) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.krl, "krl", "", "write the OpenSSH KRL of all that is revoked to this file")
	cmd.Flags().StringVar(&f.crl, "crl", "", "write the X.509 CRLs of all that is revoked to this file, in PEM")
}

func (f listFiles) none() bool { return f.krl == "" && f.crl == "" }

// listed are revocations as lists are made of them.
type listed []store.Revocation

func (l listed) Revocations(context.Context) ([]store.Revocation, error) { return l, nil }

// writeLists writes files that servers read: whole, or not at all, and of all that is
// revoked, since a server has no other list.
func (c *cli) writeLists(ctx context.Context, b *backend, files listFiles, all []store.Revocation) error {
	if files.none() {
		return nil
	}
	lists := revoke.Config{Revocations: listed(all), Now: c.now, Rand: rand.Reader}
	if files.krl != "" {
		krl, err := revoke.New(lists).KRL(ctx)
		if err != nil {
			return c.noList(b, err)
		}
		if err := replaceFile(files.krl, 0o644, func(w io.Writer) error { _, err := w.Write(krl); return err }); err != nil {
			return err
		}
	}
	if files.crl == "" {
		return nil
	}
	var err error
	if lists.Authorities, err = b.authorities(); err != nil {
		return err
	}
	crl, err := b.crl(ctx, revoke.New(lists), all)
	if err != nil {
		return c.noList(b, err)
	}
	return replaceFile(files.crl, 0o644, func(w io.Writer) error { _, err := io.WriteString(w, crl); return err })
}

func (c *cli) noList(b *backend, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return failed(b.makesAuthorities, "there is no authority to make the list for in %s", b.where)
	}
	return failed("what is revoked is stored all the same; write the files again with gatepassctl revoke export", "the list could not be made: %w", err)
}

// x509Authorities are those that CRLs are made of.
func x509Authorities() []cert.Purpose {
	return slices.DeleteFunc(cert.Purposes(), func(p cert.Purpose) bool { return !p.IsX509() })
}

func (c *cli) revokeExportCommand() *cobra.Command {
	var files listFiles
	cmd := &cobra.Command{
		Use:   "export",
		Short: "write the lists of all that is revoked to files",
		Long: `export writes the lists that the service serves to files, for servers that cannot
reach it, and before anything is revoked: sshd refuses every key while its file of
RevokedKeys is missing, and an empty list is one that it takes.`,
		Example: "  gatepassctl revoke export --krl revoked.krl --crl revoked.crl --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if files.none() {
				return misused("write --krl FILE or --crl FILE, or both", "there is no file to write to")
			}
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			all, err := b.store.Revocations(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.writeLists(cmd.Context(), b, files, all); err != nil {
				return err
			}
			return c.print(map[string]string{"krl": files.krl, "crl": files.crl}, func() {})
		},
	}
	files.flags(cmd)
	return cmd
}

func (c *cli) revokeLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list what is revoked and has not ended",
		Example: "  gatepassctl revoke ls --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			all, err := b.store.Revocations(cmd.Context())
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(r store.Revocation) bool { return !r.Ends().After(c.now()) })
			slices.SortFunc(all, func(x, y store.Revocation) int {
				if order := y.At.Compare(x.At); order != 0 {
					return order
				}
				return strings.Compare(y.ID, x.ID)
			})
			return c.print(nonNil(all), func() { c.printRevocations(all) })
		},
	}
}

func (c *cli) printRevocations(all []store.Revocation) {
	rows := [][]string{{"REVOKED", "BOT", "TOKEN", "CERTIFICATES", "WHEN", "BY", "UNTIL", "REASON"}}
	for _, r := range all {
		rows = append(rows, []string{r.ID, dash(plain(r.Bot)), dash(plain(r.Token)), fmt.Sprint(len(r.Certificates)),
			ago(c.now(), r.At), plain(r.By), stamp(r.Ends()), dash(plain(r.Reason))})
	}
	c.table(rows)
}
