package rules_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"main", "main", true},
		{"main", "mai", false},
		{"main", "mainx", false},
		{"main", "Main", false},
		{"*", "", true},
		{"*", "any/thing", true},
		{"**", "x", true},
		{"a*", "a", true},
		{"a*", "abc/d", true},
		{"a*", "ba", false},
		{"*a", "a/b/a", true},
		{"*a", "ab", false},
		{"a*b", "ab", true},
		{"a*b", "a/x/b", true},
		{"a*b", "a", false},
		{"ab*ba", "aba", false}, // the two ends may not overlap
		{"ab*ba", "abba", true},
		{"a*b*c", "a-c-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"*ab*ab*", "ab", false},
		{"*ab*ab*", "xabxabx", true},
		{"?", "", false},
		{"?", "a", true},
		{"?", "/", true},
		{"?", "é", true},
		{"?", "🚀", true},
		{"?", "e\u0301", false}, // two characters that look like one
		{"??", "é", false},
		{"*??", "é", false},
		{"*??", "€", false},
		{"*??b*", "€b", false},
		{"*??b*", "é€b", true},
		{"?*", "", false},
		{"a?c*e?g", "abcdefg", true},
		{"*a?b*", "xxaab", true},
		{"*a?b*", "xxab", false},
		{"[a-z]", "b", false},
		{"[a-z]", "[a-z]", true},
		{"a.c", "abc", false},
		{`\*`, `\x`, true},
		{"(a|b)", "a", false},
		{"a$", "a", false},
		{"?", "\xff", true}, // a byte that is not UTF-8 is one character
		{"??", "\xe2\x82", true},
		{"*?", "\xe2\x82", true},
		{"\ufffd", "\xff", false},
		{"é", "\xc3", false},
		{"*é", "\xe2é", true},
		{"a\nb", "a\nb", true},
		{"a*b", "a\nb", true},
	}
	for _, tt := range tests {
		if got := rules.GlobMatch(tt.pattern, tt.s); got != tt.want {
			t.Errorf("%q matches %q: %t, want %t", tt.pattern, tt.s, got, tt.want)
		}
	}
}

// A branch's name is its author's choice: none may keep the matcher busy.
func TestGlobTakesNoTimeToSpeakOf(t *testing.T) {
	const n = 16 << 10
	started := time.Now()
	for _, pattern := range []string{
		strings.Repeat("a*", 255) + "b",
		strings.Repeat("*a", 255) + "b",
		strings.Repeat("*", 511) + "b",
		strings.Repeat("?*", 255) + "b",
		"*" + strings.Repeat("a", 500) + "b*",
		"*" + strings.Repeat("a", 500) + "?b*",
		strings.Repeat("*a?", 170) + "b",
	} {
		if rules.GlobMatch(pattern, strings.Repeat("a", n)) {
			t.Errorf("%.20s… matches", pattern)
		}
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// slowMatch is the definition of globs, written down with no thought of time.
func slowMatch(pattern, s []string) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == "*":
		return slowMatch(pattern[1:], s) || len(s) > 0 && slowMatch(pattern, s[1:])
	}
	return len(s) > 0 && (pattern[0] == "?" || pattern[0] == s[0]) && slowMatch(pattern[1:], s[1:])
}

// characters splits s into characters; bytes that are not UTF-8 are one each.
func characters(s string) []string {
	var list []string
	for len(s) > 0 {
		_, n := utf8.DecodeRuneInString(s)
		list = append(list, s[:n])
		s = s[n:]
	}
	return list
}

func FuzzGlob(f *testing.F) {
	requireSeeds(f, "FuzzGlob")
	f.Add("a*b?c", "a/x/b-c")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !utf8.ValidString(pattern) || strings.Count(pattern, "*") > 4 || len(pattern) > 40 || len(s) > 40 {
			return // patterns are UTF-8, and the reference is slow
		}
		if got, want := rules.GlobMatch(pattern, s), slowMatch(characters(pattern), characters(s)); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, s, got, want)
		}
	})
}
