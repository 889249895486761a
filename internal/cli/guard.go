package cli

import (
	"bytes"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// guard is a writer to a terminal or a log that strangers' text goes through too.
type guard struct {
	to   io.Writer
	held []byte // the beginning of a character that is not whole yet
}

// Guard returns a writer through which no text reaches w that moves a terminal's cursor,
// changes its title or turns the direction of text: of what is not printable it lets
// through line breaks, tabs and, where w is a terminal, the colours of Style. The rest
// becomes U+FFFD. Every command of gatepassctl writes through one, so that no command
// can forget it.
func Guard(w io.Writer) io.Writer {
	if g, ok := w.(*guard); ok {
		return g
	}
	return &guard{to: w}
}

// Unguarded is the writer behind a Guard: for other programs, which need the file itself,
// and for what is not text.
func Unguarded(w io.Writer) io.Writer {
	if g, ok := w.(*guard); ok {
		return g.to
	}
	return w
}

// Write implements io.Writer.
func (g *guard) Write(p []byte) (int, error) {
	text := append(g.held, p...)
	clean := make([]byte, 0, len(text))
	for len(text) > 0 && utf8.FullRune(text) {
		r, n := utf8.DecodeRune(text)
		switch ascii, colour := words.LeadingASCII(text), colourAt(text); {
		case ascii > 0:
			n = ascii
			clean = append(clean, text[:n]...)
		case words.Harmless(r) && !(r == utf8.RuneError && n == 1), r == '\n', r == '\t':
			clean = append(clean, text[:n]...)
		case colour > 0 && IsTerminal(g.to):
			n = colour
			clean = append(clean, text[:n]...)
		default:
			clean = utf8.AppendRune(clean, utf8.RuneError)
		}
		text = text[n:]
	}
	g.held = bytes.Clone(text)
	if _, err := g.to.Write(clean); err != nil {
		return 0, err
	}
	return len(p), nil
}

// colourAt is the length of one of Style's sequences at the beginning of text, 0 if there
// is none.
func colourAt(text []byte) int {
	if text[0] != '\x1b' {
		return 0
	}
	for _, code := range []string{bold, red, green, yellow, plain} {
		if bytes.HasPrefix(text, []byte(sequence(code))) {
			return len(sequence(code))
		}
	}
	return 0
}

// IsTerminal reports whether a person sees what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := Unguarded(w).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
