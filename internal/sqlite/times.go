package sqlite

import (
	"database/sql"
	"fmt"
	"math"
	"time"
)

// nanos is an instant as stored.
func nanos(t time.Time) (int64, error) {
	if t.Before(time.Unix(0, math.MinInt64)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0, fmt.Errorf("the time %s cannot be stored: its year must be 1678 to 2261", t)
	}
	return t.UnixNano(), nil
}

// seconds is an instant as stored, rounded up: nothing ends or is deleted too early.
func seconds(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// toInstant is nanos, and NULL for the zero time.
func toInstant(t time.Time) (sql.Null[int64], error) {
	if t.IsZero() {
		return sql.Null[int64]{}, nil
	}
	n, err := nanos(t)
	return sql.Null[int64]{V: n, Valid: true}, err
}

func fromInstant(n sql.Null[int64]) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.Unix(0, n.V).UTC()
}
