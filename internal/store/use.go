package store

import (
	"errors"
	"time"
)

// ErrUsed says that an ID token has no use left.
var ErrUsed = errors.New("ID token has no use left")

// Use is one use of an ID token, with the record of the join that it is for.
type Use struct {
	IDToken   string    // lower-case hexadecimal SHA-256 of its signing input
	Digest    string    // lower-case hexadecimal digest of the request
	NotAfter  time.Time // when the credentials of this use end; whole seconds
	MaxJoins  int       // digests that the ID token may have; none if it is 0 or less
	KeepUntil time.Time // it may be deleted after this; whole seconds

	Record      Record    // what the join grants, with the serials of its credentials
	RecordUntil time.Time // the record may be deleted after this; whole seconds
}

// Answer is what an ID token's first use with a request was answered with. A retry of
// the request keeps to it.
type Answer struct {
	NotAfter time.Time // when the credentials end
}
