package store

import (
	"fmt"
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
