package admin

import (
	"errors"
	"iter"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// Records gathers what Joins yields. Those that are damaged are returned apart:
// the others can still be told.
func Records(all iter.Seq2[store.Record, error]) ([]store.Record, []*store.DamagedError, error) {
	var records []store.Record
	var damaged []*store.DamagedError
	for r, err := range all {
		if d, ok := errors.AsType[*store.DamagedError](err); ok {
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
