package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/words"
)

func (c *commands) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "the key sets of issuers",
		Example: "  gatepassctl keys ls --data ./gatepass-data\n  gatepassctl keys refresh",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	cmd.AddCommand(c.keysLsCommand(), c.keysRefreshCommand(), c.keysImportCommand())
	return cmd
}

func (c *commands) keysLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "list the issuers that token rules name, and the age of their keys",
		Example: "  gatepassctl keys ls --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
			sets, err := admin.Issuers(ctx, b.Store(), c.Now())
			if err != nil {
				return err
			}
			return c.Print(ctl.NonNil(sets), func() { c.Table(c.issuerRows(sets)) })
		}),
	}
}

func (c *commands) issuerRows(sets []admin.IssuerStatus) [][]string {
	rows := [][]string{{"ISSUER", "STATE", "KEYS", "FETCHED", "LAST TRY"}}
	for _, s := range sets {
		last := "ok"
		switch {
		case s.Failure != "":
			last = ctl.Ago(c.Now(), s.TriedAt) + ": " + s.Failure
		case s.TriedAt.IsZero():
			last = "-"
		}
		rows = append(rows, []string{s.Issuer, s.State, fmt.Sprint(s.Keys), ctl.Ago(c.Now(), s.FetchedAt), last})
	}
	return rows
}

func (c *commands) keysRefreshCommand() *cobra.Command {
	var issuer string
	var unpin bool
	cmd := &cobra.Command{
		Use:   "refresh",
		Short: "fetch issuers' keys now",
		Long: `refresh fetches the keys of every issuer that token rules name, or of one. An
answer that is no good leaves the keys as they are. It prints what is stored then.

GATEPASS_PRIVATE_ISSUERS (host:port, …) names issuers at private addresses, and
GATEPASS_ISSUER_CA a file of certificates to trust beside the system's.`,
		Example: "  gatepassctl keys refresh --data ./gatepass-data\n  gatepassctl keys refresh --issuer https://circleci.example.com --unpin",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if unpin && issuer == "" {
				return cli.Misused("--unpin needs --issuer").Hint("write --issuer URL --unpin")
			}
			return nil
		},
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error { return c.refresh(ctx, b, issuer, unpin) }),
	}
	cmd.Flags().StringVar(&issuer, "issuer", "", "only this issuer")
	cmd.Flags().BoolVar(&unpin, "unpin", false, "let go of keys imported by hand, and fetch")
	return cmd
}

// unknownIssuer is the error for an issuer that no token rule names and that has no keys
// stored; nil if there is one.
func unknownIssuer(ctx context.Context, s store.KeySets, issuer string, now time.Time) (*cli.Error, error) {
	all, err := admin.Issuers(ctx, s, now)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, one := range all {
		if one.Issuer == issuer {
			return nil, nil
		}
		names = append(names, one.Issuer)
	}
	return cli.Failed("no token rule names the issuer %s, and no keys of it are stored", issuer).
		Hint("%ssee gatepassctl keys ls", ctl.DidYouMean("--issuer ", words.Nearest(issuer, names))), nil
}

func (c *commands) refresh(ctx context.Context, b ctl.Backend, issuer string, unpin bool) error {
	if issuer != "" {
		unknown, err := unknownIssuer(ctx, b.Store(), issuer, c.Now())
		if err != nil {
			return err
		}
		if unknown != nil {
			return unknown
		}
	}
	refresher, err := b.Refresher()
	if err != nil {
		return err
	}
	if unpin {
		err := b.Store().Unpin(ctx, issuer)
		if errors.Is(err, store.ErrNotFound) {
			return cli.Failed("there are no keys of %s", issuer).Hint("see gatepassctl keys ls")
		}
		if err != nil {
			return err
		}
	}
	if issuer != "" {
		result := refresher.RefreshOne(ctx, issuer)
		if result.Pinned {
			return cli.Failed("%s: %w", issuer, store.ErrPinned).Hint("let go of it with gatepassctl keys refresh --unpin --issuer %s", issuer)
		}
		if result.Err != nil {
			return cli.Failed("%w", result.Err).Hint("the stored keys are as they were; see docs/issuers.md")
		}
		return c.printRefreshed(ctx, b, result)
	}
	results, err := refresher.RefreshAll(ctx, c.Progress("asked", "issuers", ctl.Few))
	if err != nil {
		return err
	}
	return c.printResults(b, results)
}

func (c *commands) printRefreshed(ctx context.Context, b ctl.Backend, result jwks.Result) error {
	set, err := b.Store().KeySet(ctx, result.Issuer)
	if err != nil {
		return err
	}
	return c.PrintChange(b, admin.Status(set, c.Now()), func() { c.printStored(result) })
}

// printStored says what a refresh stored.
func (c *commands) printStored(r jwks.Result) {
	what, change := "refreshed", ""
	for _, kid := range r.Added {
		change += fmt.Sprintf(", added %+q", kid)
	}
	for _, kid := range r.Removed {
		change += fmt.Sprintf(", removed %+q", kid)
	}
	if change == "" {
		change = ", as they were"
	}
	if r.Overtaken {
		what = "kept"
		change += "; nothing was stored, since another fetch began later"
	}
	fmt.Fprintf(c.Out, "%-10s %s: %s%s\n", what, r.Issuer, ctl.Plural(r.Keys, "key", "keys"), change)
}

// refreshedIssuer is what came of one issuer's refresh.
type refreshedIssuer struct {
	Issuer    string   `json:"issuer"`
	Keys      int      `json:"keys"`
	Added     []string `json:"added,omitempty"`
	Removed   []string `json:"removed,omitempty"`
	Pinned    bool     `json:"pinned,omitempty"`
	Overtaken bool     `json:"overtaken,omitempty"`
	Error     string   `json:"error,omitempty"`
}

func (c *commands) printResults(b ctl.Backend, results []jwks.Result) error {
	lines := make([]refreshedIssuer, len(results))
	failures := 0
	for i, r := range results {
		lines[i] = refreshedIssuer{Issuer: r.Issuer, Keys: r.Keys, Added: r.Added, Removed: r.Removed, Pinned: r.Pinned, Overtaken: r.Overtaken}
		if r.Err != nil {
			lines[i].Error = r.Err.Error()
			failures++
		}
	}
	err := c.PrintChange(b, struct {
		Issuers []refreshedIssuer `json:"issuers"`
	}{lines}, func() {
		same := 0 // of many issuers, those whose keys are as they were
		for i, l := range lines {
			asBefore := l.Error == "" && len(l.Added)+len(l.Removed) == 0
			switch {
			case asBefore && len(lines) > ctl.Few:
				same++
			case l.Error != "":
				fmt.Fprintf(c.Out, "%-10s %s: %s\n", "failed", l.Issuer, words.Visible(l.Error))
			case l.Pinned:
				fmt.Fprintf(c.Out, "%-10s %s\n", "pinned", l.Issuer)
			default:
				c.printStored(results[i])
			}
		}
		if same > 0 {
			fmt.Fprintf(c.Out, "%-10s the keys of %s as they were\n", "unchanged", ctl.Plural(same, "issuer are", "issuers are"))
		}
		if len(lines) == 0 {
			fmt.Fprintln(c.Out, "no token rule names an issuer")
		}
	})
	if err == nil && failures > 0 {
		return cli.Failed("%s could not be refreshed", ctl.Plural(failures, "issuer", "issuers")).Hint("the stored keys are as they were; see docs/issuers.md")
	}
	return err
}

func (c *commands) keysImportCommand() *cobra.Command {
	var issuer string
	var yes bool
	cmd := &cobra.Command{
		Use:   "import --issuer URL FILE",
		Short: "pin an issuer's keys by hand",
		Long: `import stores a JWK set (RFC 7517) for an issuer that cannot be reached. It is
never fetched over and never grows stale; a key that is not in it is refused, once
the service no longer goes by keys that it read before: within a minute.
Let go of it with gatepassctl keys refresh --issuer URL --unpin.`,
		Example: "  gatepassctl keys import --issuer https://circleci.example.com jwks.json --data ./gatepass-data",
		Args:    cli.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "issuer"); err != nil {
				return err
			}
			return c.importKeys(cmd.Context(), issuer, args[0], yes)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before keys of an issuer that no token rule names")
	cmd.Flags().StringVar(&issuer, "issuer", "", "the issuer, as the token rule names it")
	return cmd
}

// imported is what import prints for machines.
type imported struct {
	admin.IssuerStatus
	// Until is when the last key ends that the service may have read before: until then it
	// may take a key that is not among those imported.
	Until time.Time `json:"old_keys_until"`
}

func (c *commands) importKeys(ctx context.Context, issuer, file string, yes bool) error {
	data, err := c.ReadInput(file)
	if err != nil {
		return err
	}
	b, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := jwks.ValidateIssuer(issuer); err == nil && !yes {
		if err := c.confirmIssuer(ctx, b.Store(), issuer); err != nil {
			return err
		}
	}
	now := c.Now()
	set, dropped, err := jwks.Import(ctx, b.Store(), issuer, data, now)
	for _, d := range dropped {
		fmt.Fprintf(c.Err, "warning: key %q is left out: %s\n", d.KID, d.Reason)
	}
	if err != nil {
		return cli.Failed("importing %s: %w", file, err).Hint("give the issuer's JWK set as it publishes it; see docs/issuers.md")
	}
	done := imported{admin.Status(set, now), c.Now().Add(join.KeyCacheAge).UTC().Truncate(time.Second).Add(time.Second)}
	return c.PrintChange(b, done, func() {
		fmt.Fprintf(c.Out, "%-10s %s: %s\n", "pinned", issuer, ctl.Plural(done.Keys, "key", "keys"))
		fmt.Fprintf(c.Out, "a key that the service read before may still be taken until %s\n", ctl.Stamp(done.Until))
	})
}

// confirmIssuer asks before keys are pinned for an issuer that nothing names: of one that
// is misspelt they help no join.
func (c *commands) confirmIssuer(ctx context.Context, s store.KeySets, issuer string) error {
	unknown, err := unknownIssuer(ctx, s, issuer, c.Now())
	if unknown == nil || err != nil {
		return err
	}
	if err := c.Confirm("N"+unknown.Error()[1:], "import"); err != nil {
		return cli.Misused("%w", unknown).Hint("%s; %s", unknown.Hints[0], strings.Join(cli.Of(err).Hints, "; "))
	}
	return nil
}
