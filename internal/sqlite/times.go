package sqlite

import (
	"database/sql"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// toInstant is an instant as stored, and NULL for the zero time.
func toInstant(t time.Time) (sql.Null[int64], error) {
	if t.IsZero() {
		return sql.Null[int64]{}, nil
	}
	n, err := store.Nanoseconds(t)
	return sql.Null[int64]{V: n, Valid: true}, err
}

// believedUntil is the last instant that one which is stored may be and stand in the way
// of one that is stored now, at: see store.MaxClockSkew.
func believedUntil(at sql.Null[int64]) sql.Null[int64] {
	at.V += int64(store.MaxClockSkew)
	return at
}

func fromInstant(n sql.Null[int64]) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return store.FromNanoseconds(n.V)
}
