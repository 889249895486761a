package store

import (
	"errors"
	"time"
)

var (
	// ErrUsed says that an ID token has no use left.
	ErrUsed = errors.New("ID token has no use left")
	// ErrAnswered says that a use has been answered as often as one may be.
	ErrAnswered = errors.New("the use of the ID token has no answer left")
)

// Use is one use of an ID token, with the record of the join that it is for.
type Use struct {
	IDToken  string    // lower-case hexadecimal SHA-256 of its signing input
	Digest   string    // lower-case hexadecimal digest of the request
	NotAfter time.Time // when the credentials of this use end; whole seconds
	MaxJoins int       // digests that the ID token may have; none if it is 0 or less
	// MaxAnswers is how many answers a use may have, the first included.
	MaxAnswers int
	IssuedAt   time.Time // of the ID token, by its issuer's clock; whole seconds, rounded down
	KeepUntil  time.Time // it may be deleted after this; whole seconds

	Record      Record    // what the join grants, with the serials of its credentials
	RecordUntil time.Time // the record may be deleted after this; whole seconds
}

// Answer is what an ID token's first use with a request was answered with. A retry of
// the request is given the same: the serials and the start of its credentials follow
// from JoinID.
type Answer struct {
	JoinID   string    // of the first answer's record
	NotAfter time.Time // when the credentials end
	Answers  int       // how often the use was answered, the first time included
}
