package authorities

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// forgetAfter is how long ago the certificates ended of the revocations that are
// removed. The lists pass over them long before, by the service's clock: this one may
// be hours ahead, and must not remove what still counts.
const forgetAfter = 24 * time.Hour

// revokeFlags say how to revoke.
type revokeFlags struct {
	reason          string
	dryRun, noStore bool
	files           listFiles
}

func (f *revokeFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "why; kept with the revocation, and not published")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would be revoked")
	cmd.Flags().BoolVar(&f.noStore, "no-store", false, "only write the files: the service's lists stay as they are")
	f.files.flags(cmd)
}

func (c *commands) revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "have servers refuse certificates that have not ended",
		Long: `revoke finds what was issued and has not ended in the records of joins, and puts it
into the lists that the service serves at /v1/revoked/ssh.krl and
/v1/revoked/x509.crl; --krl and --crl write them to files. A server refuses what is
revoked once it has the list. New joins go on: gatepassctl lock stops those.
A revocation goes by itself when its certificates have ended, and is not taken back
before. If a list is full, what fits is revoked, the rest is counted, and the exit
status is 1. docs/incident.md says what reaches whom.`,
		Example: "  gatepassctl revoke bot example --reason 'incident 42' --stack gatepass\n  gatepassctl revoke join 01JD2K6ZQ4V8T0N1M5R7W9X3YB --krl revoked.krl --crl revoked.crl",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsCommand,
	}
	cmd.AddCommand(
		c.revoking(&cobra.Command{
			Use:     "bot NAME",
			Short:   "revoke what was issued to a bot",
			Example: "  gatepassctl revoke bot example --reason 'incident 42' --data ./gatepass-data",
			Args:    cli.Exactly("NAME"),
		}, func(ctx context.Context, b ctl.Backend, args []string) (string, authority.Issued, error) {
			if err := ctl.Refused(ctl.KnownLately(ctx, b.Store(), rules.KindBot, args[0], c.Now())); err != nil {
				return "", authority.Issued{}, err
			}
			issued, err := authority.ValidOf(ctx, b.Store(), store.Query{Bot: args[0]}, c.Now())
			return "bot/" + args[0], issued, err
		}),
		c.revoking(&cobra.Command{
			Use:     "token NAME",
			Short:   "revoke what was issued by a token rule",
			Example: "  gatepassctl revoke token example --reason 'incident 42' --data ./gatepass-data",
			Args:    cli.Exactly("NAME"),
		}, func(ctx context.Context, b ctl.Backend, args []string) (string, authority.Issued, error) {
			if err := ctl.Refused(ctl.KnownLately(ctx, b.Store(), rules.KindToken, args[0], c.Now())); err != nil {
				return "", authority.Issued{}, err
			}
			issued, err := authority.ValidOf(ctx, b.Store(), store.Query{Token: args[0]}, c.Now())
			return "token/" + args[0], issued, err
		}),
		c.revoking(&cobra.Command{
			Use:     "join JOIN_ID",
			Short:   "revoke what one join was issued",
			Long:    "join revokes what one join was issued. Its id is in the key id that sshd logs, gatepass:BOT:JOIN_ID.",
			Example: "  gatepassctl revoke join 01JD2K6ZQ4V8T0N1M5R7W9X3YB --data ./gatepass-data",
			Args:    cli.Exactly("JOIN_ID"),
		}, func(ctx context.Context, b ctl.Backend, args []string) (string, authority.Issued, error) {
			record, err := ctl.Join(ctx, b.Store(), args[0])
			if err != nil {
				return "", authority.Issued{}, err
			}
			issued, err := authority.OfJoin(ctx, b.Store(), record, c.Now())
			return "join/" + record.JoinID, issued, err
		}),
		c.revokeSerialCommand(), c.revokeAllCommand(), c.revokeLsCommand(), c.revokeExportCommand(),
	)
	return cmd
}

// finder finds what is to be revoked, and says in words what it is.
type finder = func(ctx context.Context, b ctl.Backend, args []string) (what string, issued authority.Issued, err error)

// revoking makes cmd revoke what find finds.
func (c *commands) revoking(cmd *cobra.Command, find finder) *cobra.Command {
	f := &revokeFlags{}
	f.flags(cmd)
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if f.noStore && f.files.none() {
			return cli.Misused("--no-store leaves nothing to be done").Hint("write --krl FILE or --crl FILE as well")
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
	cmd.RunE = c.On(func(ctx context.Context, b ctl.Backend, args []string) error {
		what, issued, err := find(ctx, b, args)
		if err != nil {
			return err
		}
		return c.revoke(ctx, b, what, issued, *f)
	})
	return cmd
}

func (c *commands) revokeSerialCommand() *cobra.Command {
	var purpose string
	var yes bool
	cmd := c.revoking(&cobra.Command{
		Use:   "serial SERIAL… --type AUTHORITY",
		Short: "revoke certificates by their serials",
		Long: `serial revokes certificates by what they say themselves: an SSH user certificate's
serial in decimal, as sshd logs it, or an X.509 certificate's in hexadecimal, as
openssl x509 -serial prints it.`,
		Example: "  gatepassctl revoke serial 5577006791947779410 --type ssh-user --data ./gatepass-data",
		Args:    cobra.MinimumNArgs(1),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "type"); err != nil {
				return err
			}
			if !cert.Purpose(purpose).Revocable() {
				return cli.Misused("certificates of %q cannot be revoked", purpose).Hint("write one of %s. JWTs cannot be revoked; of a host's certificate, see docs/incident.md", revocableList())
			}
			return nil
		},
	}, func(ctx context.Context, b ctl.Backend, args []string) (what string, issued authority.Issued, err error) {
		var unknown []string
		for _, serial := range args {
			r, found, err := authority.BySerial(ctx, b.Store(), cert.Purpose(purpose), serial, c.Now())
			if err != nil {
				return "", issued, err
			}
			if !found {
				unknown = append(unknown, serial)
			}
			issued.Revocations = append(issued.Revocations, r)
		}
		if len(unknown) > 0 && !yes {
			err = c.Confirm(fmt.Sprintf("No record has the serial %s of %s: what it revokes for %s may not be what was meant",
				strings.Join(unknown, ", "), purpose, cert.MaxTTL), "unknown")
		}
		return "the serial " + strings.Join(args, ", "), issued, err
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "revoke a serial that no record has, and do not ask")
	cmd.Flags().StringVar(&purpose, "type", "", "the authority that signed them: "+revocableList())
	completeType(cmd)
	return cmd
}

func revocableList() string {
	return ctl.List(slices.DeleteFunc(cert.Purposes(), func(p cert.Purpose) bool { return !p.Revocable() }), ", ")
}

func (c *commands) revokeAllCommand() *cobra.Command {
	var yes bool
	var cmd *cobra.Command
	cmd = c.revoking(&cobra.Command{
		Use:     "all",
		Short:   "revoke everything that was issued",
		Example: "  gatepassctl revoke all --yes --reason 'incident 42' --stack gatepass",
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, b ctl.Backend, _ []string) (string, authority.Issued, error) {
		issued, err := authority.ValidOf(ctx, b.Store(), store.Query{}, c.Now())
		if dryRun, _ := cmd.Flags().GetBool("dry-run"); yes || dryRun || err != nil {
			return "everything", issued, err
		}
		total := 0
		for _, n := range issued.Certificates() {
			total += n
		}
		return "everything", issued, c.Confirm(fmt.Sprintf("This revokes every certificate of every bot, %s of %s in %s",
			ctl.Plural(total, "certificate", "certificates"), ctl.Plural(len(issued.Revocations), "join", "joins"), b), "all")
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// revoke revokes what was issued.
func (c *commands) revoke(ctx context.Context, b ctl.Backend, what string, issued authority.Issued, f revokeFlags) error {
	now := c.Now().UTC().Truncate(time.Second)
	for i := range issued.Revocations {
		r := &issued.Revocations[i]
		r.At, r.By, r.Reason = now, c.whoami(), f.reason
	}
	s, err := c.storeRevocations(ctx, b, issued.Revocations, f)
	if err != nil {
		return err
	}
	if !f.dryRun {
		if err := c.writeLists(ctx, b, f.files, s.all, !f.noStore); err != nil {
			return err
		}
	}
	done := revokeAnswer{what: what, Revocations: ctl.NonNil(issued.Revocations), Added: s.added, LeftOut: s.left, JWTs: issued.JWTs, DryRun: f.dryRun, before: s.before, stored: !f.noStore, files: f.files}
	if issued.JWTs > 0 {
		done.JWTsUntil = &issued.JWTsUntil
	}
	if err := c.PrintChange(b, done, func() { c.printRevoked(done, issued, b.PublicURL(ctx)) }); err != nil {
		return err
	}
	c.suggestLock(ctx, b, issued.Revocations)
	return errors.Join(c.leftOut(s.left), c.Damaged(issued.Damaged))
}

// leftOut is an error if something has no room in the lists: what to do instead.
func (c *commands) leftOut(left []authority.LeftOut) error {
	if len(left) == 0 {
		return nil
	}
	total, types := 0, make([]string, len(left))
	for i, l := range left {
		total += l.Certificates
		types[i] = string(l.Authority)
	}
	return cli.Failed("%s not revoked: the lists are full", ctl.Plural(total, "certificate is", "certificates are")).
		Hint("lock, then replace the authority, as docs/rotation.md says of a stolen key: %s", c.Command("ca rotate --type "+strings.Join(types, ",")+" --phase 1"))
}

// storedRevocations is what storeRevocations came to.
type storedRevocations struct {
	added  int                // revocations that were not stored before
	before int                // that were
	all    []store.Revocation // that the lists are to have
	left   []authority.LeftOut
}

// storeRevocations stores what is new and has room in the lists.
func (c *commands) storeRevocations(ctx context.Context, b ctl.Backend, wanted []store.Revocation, f revokeFlags) (s storedRevocations, err error) {
	stored, err := b.Store().Revocations(ctx)
	if err != nil {
		return s, err
	}
	fresh, left, err := authority.Fit(stored, wanted, c.Now())
	if err != nil {
		return s, err
	}
	s = storedRevocations{added: len(fresh), all: slices.Concat(stored, fresh), left: left}
	known := map[string]bool{}
	for _, r := range stored {
		known[r.ID] = true
	}
	for _, r := range wanted {
		if known[r.ID] {
			s.before++
		}
	}
	if f.dryRun || f.noStore {
		return s, nil
	}
	if _, err := b.Store().Forget(ctx, c.Now().Add(-forgetAfter)); err != nil {
		return s, err
	}
	s.added, err = b.Store().Revoke(ctx, fresh)
	if err != nil {
		return s, cli.Failed("%w", err).Hint("run the command again: %s stored, and those count", ctl.Plural(s.added, "revocation was", "revocations were"))
	}
	// Read again: what others revoke at the same time must be in our files too.
	s.all, err = b.Store().Revocations(ctx)
	return s, err
}

// whoami is who runs the command, as far as the machine knows.
func (c *commands) whoami() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if who := c.Getenv(name); who != "" {
			return who
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// suggestLock says so if a bot whose certificates were revoked may get new ones.
func (c *commands) suggestLock(ctx context.Context, b ctl.Backend, revoked []store.Revocation) {
	var bots []string
	for _, r := range revoked {
		if r.Bot == "" || slices.Contains(bots, r.Bot) {
			continue
		}
		if lock, err := admin.StillLocked(ctx, b.Store(), rules.Target{Bot: r.Bot}, c.Now()); err == nil && lock == nil {
			bots = append(bots, r.Bot)
		}
	}
	if len(bots) == 0 {
		return
	}
	bold := c.Style(c.Err).Bold
	fmt.Fprintf(c.Err, "%s revoking does not stop new joins: gatepassctl lock bot %s\n", bold("gatepassctl: hint:"), bots[0])
}
