package store

import (
	"fmt"
	"math"
	"time"
)

// MaxClockSkew is how far a stored time may be ahead of now and still be believed: the
// clocks of two instances may differ a little. Where they differ by half of it, ID tokens
// are refused already. A time that is further ahead is from a clock that was wrong, and
// stands in nobody's way.
const MaxClockSkew = time.Minute

// Nanoseconds is an instant as stored, in nanoseconds since 1970.
func Nanoseconds(t time.Time) (int64, error) {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, fmt.Errorf("the time %s cannot be stored: its year must be 1678 to 2261", t)
	}
	return t.UnixNano(), nil
}

// FromNanoseconds is the instant that was stored as n.
func FromNanoseconds(n int64) time.Time { return time.Unix(0, n).UTC() }

// Seconds is an end as stored, in seconds since 1970. It is rounded up, so that
// nothing ends or is deleted too early.
func Seconds(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// FromSeconds is the end that was stored as n.
func FromSeconds(n int64) time.Time { return time.Unix(n, 0).UTC() }
