package authorities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/store"
)

func (c *commands) caRotateCommand() *cobra.Command {
	var (
		types []string
		phase string
		force bool
	)
	cmd := &cobra.Command{
		Use:   "rotate [--type AUTHORITY --phase PHASE]",
		Short: "replace an authority's key, in phases during which no job fails",
		Long: `rotate takes an authority from one key to another:

  --phase 1     makes the new key; it is trusted, and the old one signs
  --phase 2     the new key signs; the old one is still trusted
  --phase 3     the old key is no longer trusted
  --phase back  undoes phase 1 or 2

Each phase says what to bring to which servers before the next, and how to check
it. A phase that would cut somebody off, as far as is known, is refused; --force
takes it all the same. One that was interrupted is gone on with by the same
command. Without --phase it shows how each authority stands and what comes next.

The old key is put out of use after phase 3 and never deleted.`,
		Example: `  gatepassctl ca rotate --stack gatepass
  gatepassctl ca rotate --type ssh-user --phase 1
  gatepassctl ca rotate --type x509 --phase 1    # all four of X.509`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			purposes, err := purposesOf(types)
			if err != nil {
				return err
			}
			if phase == "" {
				if force {
					return cli.Misused("--force needs --phase").Hint("write --phase 2 --force")
				}
				return c.On(func(ctx context.Context, b ctl.Backend, _ []string) error { return c.showRotations(ctx, b, purposes) })(cmd, nil)
			}
			step := authority.Step(phase)
			if !slices.Contains(authority.Steps(), step) {
				return cli.Misused("unknown phase %q", phase).Hint("write --phase 1, 2, 3 or back")
			}
			if len(purposes) == 0 {
				return cli.Required(cmd, "type")
			}
			return c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
				return c.rotate(ctx, b, step, force, purposes)
			})(cmd, nil)
		},
	}
	cmd.Flags().StringSliceVar(&types, "type", nil, "which, of "+purposeList()+", or x509 for all of X.509")
	cmd.Flags().StringVar(&phase, "phase", "", "1, 2, 3 or back")
	cmd.Flags().BoolVar(&force, "force", false, "take a phase that is too early")
	completeType(cmd)
	cli.Complete(cmd, "phase", "1", "2", "3", "back")
	return cmd
}

// purposesOf reads --type.
func purposesOf(types []string) (all []cert.Purpose, err error) {
	for _, t := range types {
		for _, p := range cert.Purposes() {
			if t == string(p) || t == "x509" && p.IsX509() {
				all = append(all, p)
			}
		}
		if t != "x509" && !slices.Contains(cert.Purposes(), cert.Purpose(t)) {
			return nil, cli.Misused("unknown authority %q", t).Hint("write one of %s, or x509", purposeList())
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// rotationsAnswer is what ca rotate prints for machines.
type rotationsAnswer struct {
	Authorities []rotationStatus `json:"authorities"`
}

// rotationStatus is how an authority stands.
type rotationStatus struct {
	Type    cert.Purpose  `json:"type"`
	Phase   int           `json:"phase"`
	Changed *bool         `json:"changed,omitempty"` // by this command
	Keys    []rotationKey `json:"keys"`
	Since   time.Time     `json:"since,omitzero"`
	Next    string        `json:"next"`
	From    time.Time     `json:"next_from,omitzero"` // before it the next phase is too early
	RollOut []string      `json:"roll_out,omitempty"`
	Remove  []string      `json:"remove,omitempty"` // commands
	state   authority.State
}

type rotationKey struct {
	Name string        `json:"name"`
	Use  authority.Use `json:"use"`
	ID   string        `json:"id"`
}

func (c *commands) rotationStatus(ctx context.Context, r *authority.Rotator, s authority.Stored) (rotationStatus, error) {
	status := rotationStatus{Type: s.Purpose, Phase: int(s.Phase()), Since: s.UpdatedAt, state: s.State,
		RollOut: rollout(s.State, c.Command("ca export --type "+string(s.Purpose)))}
	for _, k := range s.Keys {
		if k.Use == authority.Retired {
			continue
		}
		name, err := k.Name(s.Purpose)
		if err != nil {
			return status, err
		}
		status.Keys = append(status.Keys, rotationKey{name, k.Use, k.ID})
	}
	status.Next = c.Command(fmt.Sprintf("ca rotate --type %s --phase %s", s.Purpose, s.Next()))
	if s.Phase() == authority.Settled {
		return status, nil
	}
	var err error
	status.From, err = r.From(ctx, s.State)
	return status, err
}

func (c *commands) rotator(ctx context.Context, b ctl.Backend) *authority.Rotator {
	r := b.Rotator(ctx)
	r.Tell = func(doing string) { fmt.Fprintln(c.Err, doing+" …") }
	return r
}

func (c *commands) showRotations(ctx context.Context, b ctl.Backend, purposes []cert.Purpose) error {
	asked := len(purposes) > 0
	if !asked {
		purposes = cert.Purposes()
	}
	r, all := c.rotator(ctx, b), []rotationStatus{}
	for _, p := range purposes {
		stored, err := r.State(ctx, p)
		if errors.Is(err, authority.ErrNone) && !asked {
			continue
		}
		if errors.Is(err, authority.ErrNone) {
			return cli.Failed("there is no %s authority in %s", p, b).Hint("%s", b.MakesAuthorities())
		}
		if err != nil {
			return err
		}
		status, err := c.rotationStatus(ctx, r, stored)
		if err != nil {
			return err
		}
		all = append(all, status)
	}
	if len(all) == 0 {
		return cli.Failed("there are no authorities in %s", b).Hint("%s", b.MakesAuthorities())
	}
	return c.PrintChange(b, rotationsAnswer{all}, func() { c.printRotations(all) })
}

func (c *commands) rotate(ctx context.Context, b ctl.Backend, step authority.Step, force bool, purposes []cert.Purpose) error {
	rotator := c.rotator(ctx, b)
	rotated, err := rotator.Rotate(ctx, step, force, purposes...)
	if err != nil {
		return c.rotateFailed(b, step, purposes, rotated, err)
	}
	all := make([]rotationStatus, len(rotated))
	for i, r := range rotated {
		if all[i], err = c.rotationStatus(ctx, rotator, r.Stored); err != nil {
			return err
		}
		all[i].Changed = &r.Changed
		for _, left := range r.Left {
			all[i].Remove = append(all[i].Remove, b.RemoveKey(left))
		}
	}
	return c.PrintChange(b, rotationsAnswer{all}, func() { c.printRotated(all) })
}

// rotateFailed says what to do about a step that was not made, or not to its end.
func (c *commands) rotateFailed(b ctl.Backend, step authority.Step, purposes []cert.Purpose, rotated []authority.Rotated, err error) error {
	again := c.Command(fmt.Sprintf("ca rotate --type %s --phase %s", ctl.List(purposes, ","), step))
	if step == authority.StepBack { // which would go one further back if it was made
		again = c.Command("ca rotate") + " shows how it stands"
	}
	if early, ok := errors.AsType[*authority.TooEarlyError](err); ok {
		return cli.Failed("%w", err).Hint("wait until then; or, if you have seen that nobody relies on it, add --force. How %s stands: %s",
			early.Purpose, c.Command("ca rotate --type "+string(early.Purpose)))
	}
	if phase, ok := errors.AsType[*authority.PhaseError](err); ok {
		return cli.Failed("%w", err).Hint("see what comes next: %s", c.Command("ca rotate --type "+string(phase.Purpose)))
	}
	if _, ok := errors.AsType[*store.ConflictError](err); ok {
		return cli.Failed("%w", err).Hint("see how it stands: %s", c.Command("ca rotate"))
	}
	if _, ok := errors.AsType[*authority.UnpublishedError](err); ok {
		return cli.Failed("%w", err).Hint("it may not know of it yet, or not be able to read the key (see the log of join): go on in a few minutes: %s", again)
	}
	switch {
	case errors.Is(err, authority.ErrNone):
		return cli.Failed("there is no such authority in %s: %w", b, err).Hint("%s", b.MakesAuthorities())
	case errors.Is(err, context.Canceled) && rotated != nil:
		return cli.Failed("interrupted").Hint("what was stored stays, and reaches the whole service by itself; go on: %s", again)
	}
	return cli.Failed("%w", err).Hint("when that is mended, go on: %s", again)
}

// phases says in words what is so in a phase.
func phases(a authority.State) string {
	switch a.Phase() {
	case authority.Announced:
		return "phase 1: the new key is trusted, the old one signs"
	case authority.Switched:
		return "phase 2: the new key signs, the old one is still trusted"
	}
	return "no rotation under way"
}

func (c *commands) printRotations(all []rotationStatus) {
	rows := [][]string{{"TYPE", "PHASE", "SIGNS", "ALSO TRUSTED", "SINCE", "NEXT"}}
	for _, s := range all {
		names := map[authority.Use]string{}
		for _, k := range s.Keys {
			names[k.Use] = k.Name
		}
		phase, since, next := "-", "-", "--phase "+s.Next[strings.Index(s.Next, "--phase ")+len("--phase "):][:1]
		if s.Phase > 0 {
			phase, since = fmt.Sprint(s.Phase), ctl.Ago(c.Now(), s.Since)
		}
		if s.From.After(c.Now()) {
			next += " from " + ctl.Stamp(s.From)
		}
		rows = append(rows, []string{string(s.Type), phase, names[authority.Signs], cmp.Or(names[authority.Trusted], "-"), since, next})
	}
	c.Table(rows)
	for _, s := range all {
		if s.Phase > 0 {
			fmt.Fprintf(c.Out, "\n%s, before the next phase:\n", s.Type)
			c.printLines(s.RollOut)
		}
	}
}

func (c *commands) printRotated(all []rotationStatus) {
	bold := c.Style(c.Out).Bold
	for _, s := range all {
		said := phases(s.state)
		if !*s.Changed {
			said += " (as it was)"
		}
		fmt.Fprintf(c.Out, "%s %s\n", bold(fmt.Sprintf("%-16s", s.Type)), said)
		for _, k := range s.Keys {
			fmt.Fprintf(c.Out, "  %-8s %s\n", k.Use, k.Name)
		}
		c.printLines(s.RollOut)
		if len(s.Remove) > 0 {
			fmt.Fprintln(c.Out, "  when nobody can need it any more, delete what is past:")
			c.printLines(indent(s.Remove))
		}
		if s.Phase > 0 {
			from := ""
			if s.From.After(c.Now()) {
				from = ", from " + ctl.Stamp(s.From)
			}
			fmt.Fprintf(c.Out, "  then%s:\n    %s\n", from, s.Next)
		}
	}
}

func (c *commands) printLines(lines []string) {
	for _, line := range lines {
		fmt.Fprintf(c.Out, "  %s\n", line)
	}
}
