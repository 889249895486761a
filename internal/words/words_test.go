package words

import (
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{"": false, "aZ09": true, "a-b": true, "a_b": false, "a b": false, "ä": false, "a\n": false, "-": true} {
		if Plain(text, "-") != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ünïcode": "plain text, ünïcode",
		"\x1b[31mred\x1b[0m":  "[31mred [0m",
		"two\nlines\r\n":      "two lines",
		"\u202Eevil":          "evil",
		"\x00\u009b":          "",
		"a\xffb":              "a\uFFFDb",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := Clean(strings.Repeat("é", 10000)); len([]rune(got)) != maxForeign+1 {
		t.Errorf("%d characters are kept", len([]rune(got)))
	}
}
