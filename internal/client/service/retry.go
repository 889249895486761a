package service

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// transient marks a failure that may pass: the same request can be sent again.
type transient struct {
	failure error
	why     string        // for the line that says what is waited for
	after   time.Duration // what Retry-After asked for; zero if nothing
}

func (t *transient) Error() string { return t.failure.Error() }
func (t *transient) Unwrap() error { return t.failure }

// pauses yields exponential pauses with jitter, and at least what the last
// answer asked for: the service knows best how long it will be away.
type pauses struct {
	backoff.ExponentialBackOff
	atLeast time.Duration
}

// NextBackOff implements backoff.BackOff.
func (p *pauses) NextBackOff() time.Duration {
	return max(p.ExponentialBackOff.NextBackOff(), p.atLeast)
}

// retry runs attempts until one succeeds, fails for good, or the time is up;
// then it returns the failure of the last attempt that came to its end, which says
// more than "time out".
func (c *Client) retry(ctx context.Context, attempt func(context.Context) (*api.JoinResponse, error)) (*api.JoinResponse, error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	wait := &pauses{ExponentialBackOff: backoff.ExponentialBackOff{
		InitialInterval:     500 * time.Millisecond,
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         10 * time.Second,
	}}
	var last error
	response, err := backoff.Retry(ctx, func() (*api.JoinResponse, error) {
		response, err := attempt(ctx)
		if err == nil {
			return response, nil
		}
		// An attempt that was cut off says less than the answer before it.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		var t *transient
		if !errors.As(err, &t) || !c.config.Retry {
			return nil, backoff.Permanent(err)
		}
		wait.atLeast = t.after
		return nil, err
	},
		backoff.WithBackOff(wait),
		backoff.WithMaxElapsedTime(c.config.Timeout),
		backoff.WithNotify(func(err error, pause time.Duration) {
			var t *transient
			if errors.As(err, &t) && c.config.Waiting != nil {
				c.config.Waiting(t.why, pause)
			}
		}))
	switch {
	case err == nil:
	case errors.Is(caller.Err(), context.Canceled):
		err = cli.Failed("interrupted before the service had answered").
			Hint("nothing was written; the ID token may be spent, so run the step again")
	case last != nil:
		err = last
	}
	return response, err
}

// longestAfter is as good as never: no job waits a day.
const longestAfter = 24 * time.Hour

// retryAfter reads the header's delay in seconds or its date (RFC 9110 §10.2.3). A date is
// measured by the clock of the service, which the answer has too, unless that is missing.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(longestAfter/time.Second) {
			return longestAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), longestAfter)
}

// unreachable is a failure of the way to the service.
func unreachable(format string, args ...any) *cli.Error {
	return cli.Errorf(cli.ExitUnreachable, format, args...)
}
