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

func fromInstant(n sql.Null[int64]) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return store.FromNanoseconds(n.V)
}
