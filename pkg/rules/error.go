package rules

import (
	"fmt"
	"strings"
)

// Error is one problem in a file of resources.
type Error struct {
	File string
	Line int // from 1
	// Field is the field's path, such as spec.bitbucket.allow[0].workspace_uuid;
	// empty if the whole document or file is meant.
	Field   string
	Message string // says what to write instead
}

// Error returns "file:line: field: message".
func (e Error) Error() string { return formatProblem(e.File, e.Line, e.Field, e.Message) }

// Errors are all problems of a file, in its order.
type Errors []Error

// Error returns the problems, one to a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Warning is something in a file that was passed over, harmlessly.
type Warning struct {
	File    string
	Line    int
	Field   string
	Message string
}

// String returns "file:line: field: message".
func (w Warning) String() string { return formatProblem(w.File, w.Line, w.Field, w.Message) }

func formatProblem(file string, line int, field, message string) string {
	if field == "" {
		return fmt.Sprintf("%s:%d: %s", file, line, message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", file, line, field, message)
}
