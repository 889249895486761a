package jwks

import (
	"strings"
	"testing"
)

func TestOneLine(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"plain ü text", "plain ü text"},
		{" a\n\tb\r\n", "a b"},
		{"\x1b[2Jx\x00\u202e\u200b", "�[2Jx���"},
		{"\xff", "�"},
		{strings.Repeat("ä", 20), strings.Repeat("ä", 20)},
		{strings.Repeat("ä", 21), strings.Repeat("ä", 19) + "…"},
	} {
		got := oneLine(tc.in, 20)
		if got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
		if again := oneLine(got, 20); again != got {
			t.Errorf("%q: again %q", got, again)
		}
	}
}
