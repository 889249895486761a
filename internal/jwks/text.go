package jwks

import (
	"strconv"
	"strings"
	"unicode"
)

// maxFailure is how many characters of a failure are kept.
const maxFailure = 300

// oneLine makes text that a hostile issuer may have had a hand in fit to be
// stored, logged and printed on a terminal: one line, printable, at most max
// characters.
func oneLine(s string, max int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > max {
		return string(r[:max-1]) + "…"
	}
	return s
}

// quote quotes an issuer's own words inside a message, shortened.
func quote(s string) string { return strconv.Quote(oneLine(s, 120)) }
