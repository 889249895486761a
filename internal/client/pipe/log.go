package pipe

import (
	"fmt"
	"io"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Log prints as bitbucket-pipes-toolkit does, in colours that a build log shows though
// there is no terminal: ✔ and ✖ lines, and others with their level.
type Log struct {
	To    io.Writer
	Debug bool // whether lines of that level are wanted
}

// Colours, by ECMA-48's select graphic rendition.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
	plain  = "\x1b[0m"
)

func (l Log) line(colour, head, format string, args []any) {
	// A stranger's escape sequences would colour the log too; line ends of ours stay.
	var lines []string
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		lines = append(lines, words.Printable(line))
	}
	fmt.Fprintf(l.To, "%s%s%s%s\n", colour, head, strings.Join(lines, "\n"), plain)
}

// Success says that something was done.
func (l Log) Success(format string, args ...any) { l.line(green, "✔ ", format, args) }

// Fail says what failed.
func (l Log) Fail(format string, args ...any) { l.line(red, "✖ ", format, args) }

// Failure says what failed, and what to do about it.
func (l Log) Failure(err error) {
	f := cli.Of(cli.Brief(err))
	lines := []string{strings.TrimSpace(f.Error())}
	for _, note := range f.Notes {
		lines = append(lines, "  "+note)
	}
	for _, hint := range f.Hints {
		lines = append(lines, "→ "+hint)
	}
	l.Fail("%s", inVariables(strings.Join(lines, "\n")))
}

// Info says what is going on.
func (l Log) Info(format string, args ...any) { l.line(blue, "INFO: ", format, args) }

// Warning says what is not as it should be.
func (l Log) Warning(format string, args ...any) {
	l.line(yellow, "WARNING: ", "%s", []any{inVariables(fmt.Sprintf(format, args...))})
}

// Debugf says what helps to find a mistake, if that is wanted.
func (l Log) Debugf(format string, args ...any) {
	if l.Debug {
		l.line("", "DEBUG: ", format, args)
	}
}
