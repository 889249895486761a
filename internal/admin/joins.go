package admin

import (
	"errors"
	"iter"

	"github.com/gatepass-ci/gatepass/internal/join"
)

// Records gathers what Joins yields. Those that are damaged are returned apart:
// the others can still be told.
func Records(all iter.Seq2[join.Record, error]) ([]join.Record, []*DamagedError, error) {
	var records []join.Record
	var damaged []*DamagedError
	for r, err := range all {
		if d, ok := errors.AsType[*DamagedError](err); ok {
			damaged = append(damaged, d)
			continue
		}
		if err != nil {
			return records, damaged, err
		}
		records = append(records, r)
	}
	return records, damaged, nil
}
