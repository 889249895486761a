package ctl

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
)

// Exit codes.
const (
	ExitDone   = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Error is an error with the next thing to do.
type Error struct {
	Err  error
	Hint string
	Exit int
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Failed is an error that ends in a hint.
func Failed(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Exit: ExitFailed}
}

// Misused is a Failed whose cause is how the command was written.
func Misused(hint, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Exit: ExitUsage}
}

// report prints an error in one line and a hint in another.
func (c *Env) report(cmd *cobra.Command, err error) int {
	exit, hint := ExitFailed, ""
	if e, ok := errors.AsType[*Error](err); ok {
		exit, hint = e.Exit, e.Hint
	}
	message, token := withoutIDTokens(err.Error())
	if token {
		hint = howToGiveTokens
	}
	red, bold := c.Colours(c.Err)
	for line := range strings.SplitSeq(strings.TrimRight(message, "\n"), "\n") {
		fmt.Fprintf(c.Err, "%s %s\n", red("gatepassctl: error:"), line)
	}
	if hint == "" && exit == ExitUsage {
		hint = fmt.Sprintf("see %s --help", cmd.CommandPath())
	}
	if hint != "" {
		fmt.Fprintf(c.Err, "%s %s\n", bold("gatepassctl: hint:"), hint)
	}
	return exit
}

// Colours returns red and bold, or nothing of either if w is no terminal or NO_COLOR is set.
func (c *Env) Colours(w io.Writer) (red, bold func(a ...any) string) {
	r, b := color.New(color.FgRed), color.New(color.Bold)
	for _, style := range []*color.Color{r, b} {
		if c.Colourful(w) {
			style.EnableColor()
		} else {
			style.DisableColor()
		}
	}
	return r.SprintFunc(), b.SprintFunc()
}

func (c *Env) Colourful(w io.Writer) bool { return IsTerminal(w) && c.Getenv("NO_COLOR") == "" }

// ExitStatus ends a command with a code that is no error's: nothing is printed.
type ExitStatus int

func (e ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
