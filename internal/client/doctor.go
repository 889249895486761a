package client

import (
	"context"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/client/service"
	"github.com/gatepass-ci/gatepass/internal/client/source"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// CheckStatus is how a check ended.
type CheckStatus string

// The ways.
const (
	CheckOK      CheckStatus = "ok"
	CheckWarning CheckStatus = "warning" // it may work, and is not as it should be
	CheckFailed  CheckStatus = "failed"
	CheckSkipped CheckStatus = "skipped" // it depends on one that failed
)

// Check is one thing that was looked at.
type Check struct {
	Name   string      `json:"name"`
	Status CheckStatus `json:"status"`
	Text   string      `json:"text"`
	Hints  []string    `json:"hints,omitempty"` // what to change
	exit   cli.Exit
}

// warn is the check, ended so.
func (c Check) warn(text string, hints ...string) Check {
	c.Status, c.Text, c.Hints = CheckWarning, text, hints
	return c
}

// fail is the check, ended by what this job can fix.
func (c Check) fail(text string, hints ...string) Check {
	c.Status, c.exit, c.Text, c.Hints = CheckFailed, cli.ExitFailed, text, hints
	return c
}

// Diagnosis is everything that was found.
type Diagnosis struct {
	Checks []Check `json:"checks"`
	// Claims are those of the ID token, unverified; nil if there is none.
	Claims map[string]any `json:"claims,omitempty"`
}

// ExitStatus is 0 if nothing failed, else that of the first failure, what this
// job can mend before what it cannot.
func (r *Diagnosis) ExitStatus() int {
	status := 0
	for _, c := range r.Checks {
		switch {
		case c.Status != CheckFailed:
		case c.exit != cli.ExitUnreachable && c.exit != cli.ExitRefused:
			return int(cli.ExitFailed)
		case status == 0:
			status = int(c.exit)
		}
	}
	return status
}

// Doctor finds out why a job cannot join: whether there is an ID token and what
// it says, whether the service can be reached, and whether the clocks agree. It
// spends no ID token and never shows one.
type Doctor struct {
	Source source.Finder
	// Service is nil when no server was given, and ServiceError then says so.
	Service      *service.Client
	ServiceError error
	Now          func() time.Time
}

// Run looks at everything, also after a failure.
func (d Doctor) Run(ctx context.Context) *Diagnosis {
	r := &Diagnosis{}
	r.add(d.system())
	d.idToken(ctx, r)
	d.service(ctx, r)
	return r
}

func (r *Diagnosis) add(c Check) { r.Checks = append(r.Checks, c) }

// failed is a check that an error ended.
func failed(name string, err error) Check {
	f := cli.Of(err)
	return Check{Name: name, Status: CheckFailed, Text: words.Clean(f.Error()), Hints: f.Hints, exit: f.Exit}
}

func (d Doctor) system() Check {
	name := d.Source.System()
	if name == "" {
		return Check{Name: "ci system", Status: CheckWarning, Text: "this does not look like " + source.Jobs()}
	}
	return Check{Name: "ci system", Status: CheckOK, Text: name}
}

// Clocks that differ by less agree: a Date has no fractions, and an answer takes its time.
const (
	clockAgrees = 5 * time.Second
	clockLimit  = 30 * time.Second // the service's own leeway
)

func (d Doctor) service(ctx context.Context, r *Diagnosis) {
	if d.Service == nil {
		r.add(failed("service", d.ServiceError))
		r.add(Check{Name: "clock", Status: CheckSkipped, Text: "the service was not asked"})
		return
	}
	health, err := d.Service.Health(ctx, d.Now)
	if err != nil {
		r.add(failed("service", err))
		r.add(Check{Name: "clock", Status: CheckSkipped, Text: "the service did not answer"})
		return
	}
	took := health.Got.Sub(health.Sent).Round(time.Millisecond)
	c := Check{Name: "service", Status: CheckOK, Text: "version " + words.Clean(health.Version) + " answers in " + took.String() + ": " + words.Clean(health.Status)}
	if health.Status != "ok" {
		c = c.warn(c.Text, "ask who administers the service")
	}
	r.add(c)
	r.add(clock(health))
}

// clock compares the middle of the request with the middle of the second that Date names.
func clock(health *service.Health) Check {
	c := Check{Name: "clock", Status: CheckOK}
	if health.Date.IsZero() {
		c.Status, c.Text = CheckSkipped, "the answer has no date"
		return c
	}
	middle := health.Sent.Add(health.Got.Sub(health.Sent) / 2)
	ahead := middle.Sub(health.Date.Add(500 * time.Millisecond))
	slack := health.Got.Sub(health.Sent) / 2
	off := max(ahead.Abs()-slack, 0).Round(time.Second)
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	text := "this machine's is " + off.String() + " " + direction + " the service's"
	const set = "set this machine's clock; certificates and ID tokens hold for minutes"
	switch {
	case off <= clockAgrees:
		c.Text = "this machine's and the service's agree"
		return c
	case off <= clockLimit:
		return c.warn(text, set)
	}
	return c.fail(text, set)
}
