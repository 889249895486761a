package client

import (
	"context"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// Renewal joins again and again, so that the credentials of a long job never end.
type Renewal struct {
	Join     Join
	Interval time.Duration // zero means half of the lifetime that was granted
	Report   func(*Report) error
	Warn     func(string)
	Sleep    func(context.Context, time.Duration) error
}

// Pauses after a join that failed while the credentials at hand still hold.
const (
	shortestPause = time.Second
	longestPause  = time.Minute
)

// Run joins until the context ends, which is no error. A refusal ends it at once;
// what may pass by itself is tried again until the credentials have ended.
func (r Renewal) Run(ctx context.Context) error {
	if err := r.Join.Source.Renewable(); err != nil {
		return err
	}
	report, err := r.Join.Run(ctx)
	if err != nil {
		return err
	}
	for {
		if err := r.Report(report); err != nil {
			return err
		}
		if r.Sleep(ctx, r.pause(report)) != nil {
			return nil
		}
		if report, err = r.next(ctx, report.ExpiresAt); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// pause is how long to wait after a join. An interval that the lifetime does not
// allow would leave a time without credentials.
func (r Renewal) pause(report *Report) time.Duration {
	left := report.ExpiresAt.Sub(r.Join.Now())
	if r.Interval == 0 {
		return max(left/2, shortestPause)
	}
	if r.Interval < left {
		return r.Interval
	}
	r.Warn(fmt.Sprintf("the renewal interval of %s is longer than what was granted, so the next join is in %s", r.Interval, (left / 2).Round(time.Second)))
	return max(left/2, shortestPause)
}

// next joins, as often as it takes while the earlier credentials hold.
func (r Renewal) next(ctx context.Context, until time.Time) (*Report, error) {
	for {
		report, err := r.Join.Run(ctx)
		if err == nil {
			return report, nil
		}
		f := cli.Of(err)
		left := until.Sub(r.Join.Now())
		if ctx.Err() != nil || left <= 0 || f.Exit == cli.ExitRefused || f.Exit == cli.ExitUsage {
			return nil, err
		}
		pause := min(max(left/10, shortestPause), longestPause)
		r.Warn(fmt.Sprintf("renewal failed, trying again in %s: %s", pause.Round(time.Second), f.Error()))
		if err := r.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}
