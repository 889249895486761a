package rules

import (
	"strings"
	"unicode/utf8"
)

// globMatch reports whether s matches pattern as a whole: * is any run of
// characters, also an empty one and also across slashes; ? is exactly one
// character (a byte that is not UTF-8 counts as one); all else is literal.
//
// The pieces between the stars are looked for from left to right, each at its
// first place, and never looked for again: if a later place would do, so does
// the first. There is no backtracking, so the time grows with the length of s
// and not exponentially with the stars, whoever chose s.
func globMatch(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	n, ok := prefixMatch(first, s)
	if !ok {
		return false
	}
	s = s[n:]
	if !star {
		return s == ""
	}
	for {
		piece, more, star := strings.Cut(rest, "*")
		if !star {
			return suffixMatch(piece, s)
		}
		if s, ok = skipPast(piece, s); !ok {
			return false
		}
		rest = more
	}
}

// prefixMatch reports whether s begins with piece, in which ? is one character,
// and how many bytes of s that is.
func prefixMatch(piece, s string) (n int, ok bool) {
	for i := 0; i < len(piece); {
		if n == len(s) {
			return 0, false
		}
		if piece[i] == '?' {
			_, width := utf8.DecodeRuneInString(s[n:])
			n, i = n+width, i+1
			continue
		}
		if piece[i] != s[n] {
			return 0, false
		}
		n, i = n+1, i+1
	}
	return n, true
}

// suffixMatch reports whether s ends with piece.
func suffixMatch(piece, s string) bool {
	start := len(s)
	for range utf8.RuneCountInString(piece) {
		if start == 0 {
			return false
		}
		_, width := utf8.DecodeLastRuneInString(s[:start])
		start -= width
	}
	n, ok := prefixMatch(piece, s[start:])
	return ok && start+n == len(s)
}

// skipPast returns what follows the first place of piece in s.
func skipPast(piece, s string) (string, bool) {
	if !strings.Contains(piece, "?") {
		_, after, ok := strings.Cut(s, piece)
		return after, ok
	}
	for {
		if n, ok := prefixMatch(piece, s); ok {
			return s[n:], true
		}
		if s == "" {
			return "", false
		}
		_, width := utf8.DecodeRuneInString(s)
		s = s[width:]
	}
}
