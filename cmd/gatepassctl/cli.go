package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/gatepass-ci/gatepass/internal/rotation"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is what every command has.
type cli struct {
	getenv   func(string) string
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	// cacheFor is how long functions go by what they read of the authorities' keys.
	cacheFor time.Duration

	stack  string
	data   string
	format string
}

// hintError is an error with the next thing to do.
type hintError struct {
	err  error
	hint string
	exit int
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// failed is an error that ends in a hint.
func failed(hint, format string, args ...any) error {
	return &hintError{err: fmt.Errorf(format, args...), hint: hint, exit: exitFailed}
}

// misused is a failed whose cause is how the command was written.
func misused(hint, format string, args ...any) error {
	return &hintError{err: fmt.Errorf(format, args...), hint: hint, exit: exitUsage}
}

func run(ctx context.Context, args []string, getenv func(string) string, in io.Reader, out, errw io.Writer) int {
	c := &cli{getenv: getenv, in: in, out: out, err: errw, now: time.Now, cacheFor: rotation.CacheFor}
	return c.run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	return c.report(cmd, err)
}

// report prints an error in one line and a hint in another.
func (c *cli) report(cmd *cobra.Command, err error) int {
	exit, hint := exitFailed, ""
	if h, ok := errors.AsType[*hintError](err); ok {
		exit, hint = h.exit, h.hint
	}
	if u, ok := errors.AsType[*usageError](err); ok {
		exit, hint = exitUsage, u.hint
	}
	message, token := withoutIDTokens(err.Error())
	if token {
		hint = howToGiveTokens
	}
	red, bold := c.colours(c.err)
	for line := range strings.SplitSeq(strings.TrimRight(message, "\n"), "\n") {
		fmt.Fprintf(c.err, "%s %s\n", red("gatepassctl: error:"), line)
	}
	if hint == "" && exit == exitUsage {
		hint = fmt.Sprintf("see %s --help", cmd.CommandPath())
	}
	if hint != "" {
		fmt.Fprintf(c.err, "%s %s\n", bold("gatepassctl: hint:"), hint)
	}
	return exit
}

// colours returns red and bold, or nothing of either if w is no terminal or NO_COLOR is set.
func (c *cli) colours(w io.Writer) (red, bold func(a ...any) string) {
	r, b := color.New(color.FgRed), color.New(color.Bold)
	for _, style := range []*color.Color{r, b} {
		if c.colourful(w) {
			style.EnableColor()
		} else {
			style.DisableColor()
		}
	}
	return r.SprintFunc(), b.SprintFunc()
}

func (c *cli) colourful(w io.Writer) bool { return isTerminal(w) && c.getenv("NO_COLOR") == "" }

// usageError is a mistake that cobra found: an unknown flag, a missing argument.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
