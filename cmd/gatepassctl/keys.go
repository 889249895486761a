package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// keyCommands are those about issuers' keys and our own.
func (c *cli) keyCommands() []*cobra.Command {
	return []*cobra.Command{c.keysCommand(), c.caCommand()}
}

func (c *cli) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "the key sets of issuers",
		Example: "  gatepassctl keys ls --data ./gatepass-data\n  gatepassctl keys refresh",
		Args:    cobra.NoArgs,
		RunE:    needsCommand,
	}
	cmd.AddCommand(c.keysLsCommand(), c.keysRefreshCommand(), c.keysImportCommand())
	return cmd
}

func (c *cli) keysLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list the issuers that token rules name, and the age of their keys",
		Example: "  gatepassctl keys ls --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := c.open(cmd.Context(), false)
			if err != nil {
				return err
			}
			defer b.close()
			sets, err := admin.Issuers(cmd.Context(), b.store, c.now())
			if err != nil {
				return err
			}
			return c.print(nonNil(sets), func() { c.printIssuers(sets) })
		},
	}
}

func (c *cli) printIssuers(sets []admin.IssuerStatus) {
	rows := [][]string{{"ISSUER", "STATE", "KEYS", "FETCHED", "LAST TRY"}}
	for _, s := range sets {
		last := "ok"
		switch {
		case s.Failure != "":
			last = ago(c.now(), s.TriedAt) + ": " + s.Failure
		case s.TriedAt.IsZero():
			last = "-"
		}
		rows = append(rows, []string{s.Issuer, s.State, fmt.Sprint(s.Keys), ago(c.now(), s.FetchedAt), last})
	}
	c.table(rows)
}

func (c *cli) keysRefreshCommand() *cobra.Command {
	var issuer string
	var unpin bool
	cmd := &cobra.Command{
		Use:   "refresh",
		Short: "fetch issuers' keys now",
		Long: `refresh fetches the keys of every issuer that token rules name, or of one. An
answer that is no good leaves the keys as they are.

GATEPASS_PRIVATE_ISSUERS (host:port, …) names issuers at private addresses, and
GATEPASS_ISSUER_CA a file of certificates to trust beside the system's.`,
		Example: "  gatepassctl keys refresh --data ./gatepass-data\n  gatepassctl keys refresh --issuer https://circleci.example.com --unpin",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unpin && issuer == "" {
				return misused("write --issuer URL --unpin", "--unpin needs --issuer")
			}
			return c.refresh(cmd.Context(), issuer, unpin)
		},
	}
	cmd.Flags().StringVar(&issuer, "issuer", "", "only this issuer")
	cmd.Flags().BoolVar(&unpin, "unpin", false, "let go of keys imported by hand, and fetch")
	return cmd
}

func (c *cli) refresh(ctx context.Context, issuer string, unpin bool) error {
	b, err := c.open(ctx, false)
	if err != nil {
		return err
	}
	defer b.close()
	refresher, err := b.refresher()
	if err != nil {
		return err
	}
	if unpin {
		if err := b.store.Unpin(ctx, issuer); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				return failed("see gatepassctl keys ls", "there are no keys of %s", issuer)
			}
			return err
		}
	}
	if issuer != "" {
		if err := refresher.Refresh(ctx, issuer); err != nil {
			return failed("the stored keys are as they were; see docs/issuers.md", "%w", err)
		}
		return c.printRefreshed(ctx, b, issuer)
	}
	results, err := refresher.RefreshAll(ctx)
	if err != nil {
		return err
	}
	return c.printResults(results)
}

func (c *cli) printRefreshed(ctx context.Context, b *backend, issuer string) error {
	set, err := b.store.KeySet(ctx, issuer)
	if err != nil {
		return err
	}
	status := admin.Status(set, c.now())
	return c.print(status, func() {
		fmt.Fprintf(c.out, "%-10s %s: %s\n", "refreshed", issuer, plural(status.Keys, "key", "keys"))
	})
}

func (c *cli) printResults(results []jwks.Result) error {
	type line struct {
		Issuer string `json:"issuer"`
		Keys   int    `json:"keys"`
		Pinned bool   `json:"pinned,omitempty"`
		Error  string `json:"error,omitempty"`
	}
	lines := make([]line, len(results))
	failures := 0
	for i, r := range results {
		lines[i] = line{Issuer: r.Issuer, Keys: r.Keys, Pinned: r.Pinned}
		if r.Err != nil {
			lines[i].Error = r.Err.Error()
			failures++
		}
	}
	err := c.print(lines, func() {
		for _, l := range lines {
			switch {
			case l.Error != "":
				fmt.Fprintf(c.out, "%-10s %s: %s\n", "failed", l.Issuer, l.Error)
			case l.Pinned:
				fmt.Fprintf(c.out, "%-10s %s\n", "pinned", l.Issuer)
			default:
				fmt.Fprintf(c.out, "%-10s %s: %s\n", "refreshed", l.Issuer, plural(l.Keys, "key", "keys"))
			}
		}
		if len(lines) == 0 {
			fmt.Fprintln(c.out, "no token rule names an issuer")
		}
	})
	if err == nil && failures > 0 {
		return failed("the stored keys are as they were; see docs/issuers.md", "%s could not be refreshed", plural(failures, "issuer", "issuers"))
	}
	return err
}

func (c *cli) keysImportCommand() *cobra.Command {
	var issuer string
	cmd := &cobra.Command{
		Use:   "import --issuer URL FILE",
		Short: "pin an issuer's keys by hand",
		Long: `import stores a JWK set (RFC 7517) for an issuer that cannot be reached. It is
never fetched over and never grows stale; a key that is not in it is refused.
Let go of it with gatepassctl keys refresh --issuer URL --unpin.`,
		Example: "  gatepassctl keys import --issuer https://circleci.example.com jwks.json --data ./gatepass-data",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "issuer"); err != nil {
				return err
			}
			return c.importKeys(cmd.Context(), issuer, args[0], c.now())
		},
	}
	cmd.Flags().StringVar(&issuer, "issuer", "", "the issuer, as the token rule names it")
	return cmd
}

func (c *cli) importKeys(ctx context.Context, issuer, file string, now time.Time) error {
	data, err := c.readInput(file)
	if err != nil {
		return err
	}
	b, err := c.open(ctx, true)
	if err != nil {
		return err
	}
	defer b.close()
	set, dropped, err := jwks.Import(ctx, b.store, issuer, data, now)
	for _, d := range dropped {
		fmt.Fprintf(c.err, "warning: key %q is left out: %s\n", d.KID, d.Reason)
	}
	if err != nil {
		return failed("give the issuer's JWK set as it publishes it; see docs/issuers.md", "importing %s: %w", file, err)
	}
	status := admin.Status(set, now)
	return c.print(status, func() {
		fmt.Fprintf(c.out, "%-10s %s: %s\n", "pinned", issuer, plural(status.Keys, "key", "keys"))
	})
}
