package cli

import (
	"errors"
	"fmt"
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
