// Package failure is how the client says what went wrong: an error, notes that
// belong to it, what to do next, and the exit status.
package failure

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Kind sorts failures by who can mend them. Its number is the exit status.
type Kind int

// The kinds.
const (
	Local       Kind = 1 // something on this machine failed
	Usage       Kind = 2 // the command line or a configuration file is wrong
	Refused     Kind = 3 // the service understood and said no
	Unreachable Kind = 4 // the service could not be reached, or could not answer
)

// Error is a failure fit for a build log.
type Error struct {
	Kind Kind
	Err  error
	// Notes are lines shown below the error, such as the claims that were presented.
	Notes []string
	// Hints say what to do next, a line each.
	Hints []string
}

// New makes a failure of the kind with a formatted message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Hint adds a line that says what to do next.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// Error is the message without notes and hints.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of finds the failure in an error; any other error is a local one without hints.
func Of(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	return &Error{Kind: Local, Err: err}
}

// maxForeign bounds how much of a stranger's text is shown, in characters.
const maxForeign = 600

// Printable is Clean for text of any length.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// Clean makes text that came from elsewhere safe for a terminal and a build
// log: control characters (escape sequences, line breaks) become spaces, and
// long text is cut.
func Clean(s string) string {
	s = Printable(s)
	if runes := []rune(s); len(runes) > maxForeign {
		s = string(runes[:maxForeign]) + "…"
	}
	return strings.TrimSpace(s)
}
