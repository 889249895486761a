package store

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// Query chooses records. Its zero fields choose all.
type Query struct {
	Since, Until time.Time // Since <= time < Until
	Bot, Token   string
	Code         string // store.CodeOK or a code of a refusal
	Refused      bool   // only those whose code is not store.CodeOK
	Limit        int    // at most so many; 0 means all
	OldestFirst  bool
}

// DamagedError says that a record is stored and cannot be decoded.
type DamagedError struct {
	JoinID string
	Err    error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the record %s is stored but not valid: %v", e.JoinID, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Gather collects what Joins yields. Those that are damaged are returned apart:
// the others can still be told.
func Gather(all iter.Seq2[Record, error]) ([]Record, []*DamagedError, error) {
	var records []Record
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
