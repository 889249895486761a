package cli

import (
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// Exit is the exit code of a program. As an error it ends a command with that code and
// prints nothing: the command has said itself what happened.
type Exit int

// The exit codes, by who can fix what went wrong.
const (
	ExitDone        Exit = 0
	ExitFailed      Exit = 1 // something on this machine failed
	ExitUsage       Exit = 2 // the command line or a configuration file is wrong
	ExitRefused     Exit = 3 // the service understood and said no
	ExitUnreachable Exit = 4 // the service could not be reached, or could not answer
)

// status is the code that a process can end with. A system keeps its lowest eight bits, so
// that 256 would read as done.
func (e Exit) status() Exit {
	if e < 0 || e > 255 {
		return 255
	}
	return e
}

// Error implements error.
func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Error is an error for people: what went wrong, and what to do next.
type Error struct {
	Exit Exit
	Err  error
	// Notes are lines shown below the error, such as the claims that were presented.
	Notes []string
	// Hints say what to do next, a line each.
	Hints []string
}

// Errorf makes an error that ends the program with the exit code.
func Errorf(exit Exit, format string, args ...any) *Error {
	return &Error{Exit: exit, Err: fmt.Errorf(format, args...)}
}

// Failed is an Errorf of what failed on this machine.
func Failed(format string, args ...any) *Error { return Errorf(ExitFailed, format, args...) }

// Misused is an Errorf of what was written wrong.
func Misused(format string, args ...any) *Error { return Errorf(ExitUsage, format, args...) }

// Hint adds a line that says what to do next. An empty one is left out.
func (e *Error) Hint(format string, args ...any) *Error {
	if hint := fmt.Sprintf(format, args...); hint != "" {
		e.Hints = append(e.Hints, hint)
	}
	return e
}

// Bounds of what is told of a stranger's answer.
const (
	maxMessage = 2000 // characters of a message or a hint
	maxNotes   = 100
)

// Brief is an error for a build log that a stranger must not fill: its message is one line,
// and neither that nor what is told besides is long. An Exit stays itself.
func Brief(err error) error {
	if _, ok := errors.AsType[Exit](err); ok || err == nil {
		return err
	}
	f := Of(err)
	brief := &Error{Exit: f.Exit, Err: brief{err}}
	for _, note := range f.Notes[:min(len(f.Notes), maxNotes)] {
		brief.Notes = append(brief.Notes, words.Cut(words.Printable(note), maxMessage))
	}
	if more := len(f.Notes) - maxNotes; more > 0 {
		brief.Notes = append(brief.Notes, fmt.Sprintf("  and %d more", more))
	}
	for _, hint := range f.Hints {
		brief.Hints = append(brief.Hints, words.Cut(words.OneLine(hint), maxMessage))
	}
	return brief
}

// brief is an error whose message is a single line that has an end.
type brief struct{ error }

func (b brief) Error() string { return words.Cut(words.OneLine(b.error.Error()), maxMessage) }
func (b brief) Unwrap() error { return b.error }

// Error is the message without notes and hints.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Of finds the Error in an error; any other is one that failed on this machine, without hints.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Exit: ExitFailed, Err: err}
}
