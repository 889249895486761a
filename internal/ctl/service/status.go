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
	"github.com/gatepass-ci/gatepass/internal/ctl"
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
	admin.Overview
}

type authorityStatus struct {
	Type         cert.Purpose `json:"type"`
	Fingerprints []string     `json:"fingerprints"`
}

func (c *commands) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "the service at a glance: authorities, rules, key sets, joins of the last hour",
		Example: "  gatepassctl status --data ./gatepass-data",
		Args:    cobra.NoArgs,
		RunE: c.On(func(ctx context.Context, b ctl.Backend, _ []string) (err error) {
			report := statusReport{Version: c.Version, Store: b.String()}
			running, silent := b.Running(ctx)
			report.Service = running
			if report.Overview, err = admin.Look(ctx, b.Store(), c.Now()); err != nil {
				return err
			}
			if report.Authorities, err = authorities(ctx, b); err != nil {
				return err
			}
			return c.Print(report, func() { c.printStatus(report, silent) })
		}),
	}
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

func (c *commands) printStatus(r statusReport, silent error) {
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
