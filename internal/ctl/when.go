package ctl

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// span is a length of time as people write it: Go's durations, and days.
func ParseSpan(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// ParseTime reads an instant, or a day, which begins at midnight in UTC.
func ParseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// PastTime reads a flag that names a time in the past, as such or by how long ago it
// was. Empty is the zero time.
func PastTime(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, ok := ParseTime(s); ok {
		return t, nil
	}
	if d, ok := ParseSpan(s); ok && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, cli.Misused("--%s %q is no time", flag, s).Hint("write how long ago, such as 24h or 7d, or a time, such as 2026-01-31 or 2026-01-31T08:00:00Z")
}
