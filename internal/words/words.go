// Package words writes what people read and what shells take: text that came from
// elsewhere made harmless, words in quotes, and the name that somebody meant. It is
// pure, so that every other package may use it.
package words

import "strings"

// maxForeign bounds how much of a stranger's text is shown, in characters.
const maxForeign = 600

// Printable replaces control characters (escape sequences, line breaks) by spaces.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !Harmless(r) {
			return ' '
		}
		return r
	}, s)
}

// Visible is text that a stranger chose, without what would move a terminal's cursor or
// change its colours. Each such character is seen to have been there, as U+FFFD.
func Visible(s string) string {
	return strings.Map(func(r rune) rune {
		if Harmless(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// Clean makes text that came from elsewhere safe for a terminal and a build log: it
// is Printable, and long text is cut.
func Clean(s string) string {
	return strings.TrimSpace(Cut(Printable(s), maxForeign))
}

// Cut is the text, or as many characters of it and a mark that there were more.
func Cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// Plain reports whether text is of ASCII letters, digits and some other characters alone,
// and not empty.
func Plain(text, others string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(others, r))
	})
}

// OneLine is Printable for a message of several lines, which become clauses of one.
func OneLine(s string) string {
	return Printable(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}
