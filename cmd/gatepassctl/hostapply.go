package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/hostsetup"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func (s *hostSetup) open() (*hostsetup.Dir, error) {
	d, err := hostsetup.OpenDir(s.root)
	if errors.Is(err, hostsetup.ErrNoSSH) {
		return nil, cli.Failed("%w below %s", err, s.root).Hint("install OpenSSH's server there first")
	}
	return d, err
}

// appliedHost is what --apply shows.
type appliedHost struct {
	Changes  []hostsetup.Change  `json:"changes"`
	Tested   bool                `json:"tested"`           // by sshd -t
	Reload   string              `json:"reload,omitempty"` // the command that is still to be run
	Reloaded bool                `json:"reloaded"`
	Findings []hostsetup.Finding `json:"findings"` // what is missing all the same
}

func (c *hosts) applyHost(ctx context.Context, s *hostSetup, h *hostsetup.Host) error {
	if s.root == "/" && os.Geteuid() != 0 {
		return cli.Failed("only root can write to %s", hostsetup.SSHFolder).Hint("run it as root, or write --root DIR for an image")
	}
	d, err := s.open()
	if err != nil {
		return err
	}
	defer d.Close()
	system := hostsetup.NewSystem(s.root)
	changes, err := hostsetup.Apply(ctx, d, h, system.Sshd())
	if err != nil {
		return c.notApplied(err)
	}
	result := appliedHost{Changes: hostsetup.Sorted(changes), Tested: system.Sshd() != nil}
	// A run before may have been cut off between writing and reloading.
	if (hostsetup.NeedsReload(changes) || hostsetup.NotRead(d, system.HasRead(ctx))) && d.ThisHost() {
		result.Reload = hostsetup.ReloadCommand
	}
	if s.reload && result.Reload != "" {
		if err := system.Reload(ctx); err != nil {
			return cli.Failed("everything is written, but sshd was not reloaded: %w", err).Hint("reload it by hand")
		}
		result.Reload, result.Reloaded = "", true
	}
	if result.Findings, err = hostsetup.Check(ctx, d, h, hostsetup.Checks{Sshd: system.Sshd(), Account: system.Account, Now: c.Now()}); err != nil {
		return err
	}
	return c.Print(result, func() { c.tellApplied(&result) })
}

func (c *hosts) notApplied(err error) error {
	if _, ok := errors.AsType[*hostsetup.ForeignError](err); ok {
		return cli.Failed("%w", err).Hint("move these files away, and run it again; nothing was changed")
	}
	if errors.Is(err, hostsetup.ErrRunning) {
		return cli.Failed("%w", err).Hint("run it again when that is done; nothing was changed")
	}
	if _, ok := errors.AsType[*hostsetup.ConflictError](err); ok {
		return cli.Failed("%w", err).Hint("remove these lines, if nothing else needs them, and run it again; nothing was changed")
	}
	if errors.Is(err, hostsetup.ErrNoInclude) {
		return cli.Failed("%w", err).Hint("write this as its first line, and run it again: %s", hostsetup.IncludeLine)
	}
	if refused, ok := errors.AsType[*hostsetup.RefusedError](err); ok && refused.Before {
		return cli.Failed("%w", err).Hint("mend that first; see sshd -t")
	}
	return err
}

func (c *hosts) tellApplied(r *appliedHost) {
	changed := 0
	for _, change := range r.Changes {
		fmt.Fprintf(c.Out, "%-10s %s\n", change.Change, change.Path)
		if change.Change != hostsetup.Unchanged {
			changed++
		}
	}
	switch {
	case changed == 0 && r.Reload == "" && !r.Reloaded:
		fmt.Fprintln(c.Out, "nothing to do: the host is set up already")
	case r.Reload != "":
		fmt.Fprintln(c.Out, "now reload sshd: "+r.Reload)
	case r.Reloaded:
		fmt.Fprintln(c.Out, "sshd was reloaded")
	}
	if changed > 0 && !r.Tested {
		fmt.Fprintln(c.Err, "warning: there is no sshd here that could test this; run sshd -t on the host")
	}
	for _, f := range r.Findings {
		fmt.Fprintf(c.Err, "warning: %s: %s; %s\n", f.About, f.Problem, f.Do)
	}
}

// checkedHost is what --check shows.
type checkedHost struct {
	OK       bool                `json:"ok"`
	Findings []hostsetup.Finding `json:"findings"`
}

func (c *hosts) checkHost(cmd *cobra.Command, s *hostSetup, h *hostsetup.Host) error {
	d, err := s.open()
	if err != nil {
		return err
	}
	defer d.Close()
	system := hostsetup.NewSystem(s.root)
	with := hostsetup.Checks{Sshd: system.Sshd(), Account: system.Account, HasRead: system.HasRead(cmd.Context()), Now: c.Now()}
	if len(h.HostCertificates) > 0 && s.authority.file == "" && s.authority.server == "" {
		if with.HostAuthority, err = c.storedAuthority(cmd, cert.SSHHost); err != nil {
			return err
		}
	}
	found, err := hostsetup.Check(cmd.Context(), d, h, with)
	if err != nil {
		return err
	}
	wrong := slices.DeleteFunc(slices.Clone(found), func(f hostsetup.Finding) bool { return f.Warning })
	result := checkedHost{OK: len(wrong) == 0, Findings: found}
	if err := c.Print(result, func() { c.tellFindings(h, found) }); err != nil || result.OK {
		return err
	}
	return cli.Failed("%s on this host", ctl.Plural(len(wrong), "thing is wrong", "things are wrong")).Hint("do what each line says, then run it again")
}

func (c *hosts) tellFindings(h *hostsetup.Host, found []hostsetup.Finding) {
	for _, f := range found {
		word := "wrong"
		if f.Warning {
			word = "warning"
		}
		fmt.Fprintf(c.Out, "%-8s %s: %s\n%8s %s\n", word, f.About, f.Problem, "", f.Do)
	}
	if len(found) == 0 {
		fmt.Fprintf(c.Out, "ok: certificates are let in for %s%s\n", strings.Join(slices.Sorted(maps.Keys(h.Accounts)), ", "), where(h.Labels))
	}
}

func where(labels map[string]string) string {
	if len(labels) == 0 {
		return ", of roles without node_labels"
	}
	return ", of roles without node_labels or whose node_labels hold for " + rules.FormatLabels(labels)
}
