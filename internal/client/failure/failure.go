// Package failure has the names that internal/cli and internal/words have replaced. It
// goes as soon as the packages beside it, which are being moved, use those.
package failure

import (
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

type (
	Kind  = cli.Exit
	Error = cli.Error
)

const (
	Local       = cli.ExitFailed
	Usage       = cli.ExitUsage
	Refused     = cli.ExitRefused
	Unreachable = cli.ExitUnreachable
)

func New(kind Kind, format string, args ...any) *Error { return cli.Errorf(kind, format, args...) }

func Of(err error) *Error       { return cli.Of(err) }
func Clean(s string) string     { return words.Clean(s) }
func Printable(s string) string { return words.Printable(s) }
