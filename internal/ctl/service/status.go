package service

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/words"
)

func (c *commands) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version",
		Example: "  gatepassctl version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return c.Print(map[string]string{"version": c.Version}, func() {
				fmt.Fprintf(c.Out, "gatepassctl %s\n", c.Version)
			})
		},
	}
}

// statusReport is what status prints for machines.
type statusReport struct {
	Version     string            `json:"version"`
	Store       string            `json:"store"`
	Service     *ctl.Running      `json:"service,omitempty"`
	Authorities []authorityStatus `json:"authorities"`
	// Damage is what cannot be read back, or does not belong together.
	Damage []string `json:"damage,omitempty"`
	admin.Overview
}

type authorityStatus struct {
	Type         cert.Purpose `json:"type"`
	Fingerprints []string     `json:"fingerprints"`
}

func (c *commands) statusCommand() *cobra.Command {
	var whole bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "the service at a glance: authorities, rules, key sets, joins of the last hour",
		Long: `status shows the service at a glance. On a data directory it also looks whether the
database and the newest records can be read back, and whether the keys beside it are
those that it knows; what it finds makes it fail. A database of more than a GiB is
looked at whole with --whole only, which takes some seconds for each GiB.`,
		Example: "  gatepassctl status --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) error {
			report := statusReport{Version: c.Version, Store: b.String()}
			running, silent := b.Running(ctx)
			report.Service = running
			damage, everywhere, err := b.Damage(ctx, whole)
			if err != nil {
				return err
			}
			for _, d := range damage {
				report.Damage = append(report.Damage, d.Error())
			}
			// What is damaged may keep the rest from being read: it is told first.
			if report.Overview, err = admin.Look(ctx, b.Store(), c.Now()); err == nil {
				report.Authorities, err = authorities(ctx, b)
			}
			if err != nil && len(damage) == 0 {
				return err
			}
			if err := c.Print(report, func() { c.printStatus(report, silent, everywhere) }); err != nil {
				return err
			}
			if len(damage)+len(report.Damaged) > 0 {
				return cli.Failed("what is stored is damaged").Hint("see above what is; in gatepassctl joins ls each record that cannot be read is named")
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&whole, "whole", false, "look at the whole database, however large it is")
	return cmd
}

// authorities are those that there are; none before an embedded server ran.
func authorities(ctx context.Context, b ctl.Backend) ([]authorityStatus, error) {
	from, err := b.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	all, err := authority.All(ctx, from, cert.Purposes()...)
	if err != nil {
		return nil, err
	}
	list := make([]authorityStatus, len(all))
	for i, a := range all {
		prints, err := a.Fingerprints()
		if err != nil {
			return nil, err
		}
		list[i] = authorityStatus{a.Purpose, prints}
	}
	return list, nil
}

func (c *commands) printStatus(r statusReport, silent error, everywhere bool) {
	var service string
	if r.Service == nil {
		service = silent.Error()
	} else {
		service = fmt.Sprintf("running at %s, version %s, public URL %s", r.Service.URL, r.Service.Version, r.Service.PublicURL)
	}
	rows := [][]string{{"version", r.Version}, {"store", r.Store}, {"service", service}}
	for _, kind := range ctl.Kinds() {
		rows = append(rows, []string{string(kind) + "s", fmt.Sprint(r.Resources[kind])})
	}
	rows = append(rows, []string{"last hour", fmt.Sprintf("%d granted, %d refused", r.Granted, r.Refused)})
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		rows = append(rows, []string{"", fmt.Sprintf("%d %s", r.Codes[code], code)})
	}
	for _, id := range r.Damaged {
		rows = append(rows, []string{"damaged", "the record " + id})
	}
	for _, d := range r.Damage {
		rows = append(rows, []string{"damaged", words.Visible(d)})
	}
	if !everywhere {
		rows = append(rows, []string{"unchecked", "most of the database, which is large: gatepassctl status --whole"})
	}
	c.Table(rows)

	rows = [][]string{{"TYPE", "FINGERPRINT"}}
	for _, a := range r.Authorities {
		for _, p := range a.Fingerprints {
			rows = append(rows, []string{string(a.Type), p})
		}
	}
	c.Section("authorities", rows)

	c.Section("issuers", c.issuerRows(r.Issuers))
}
