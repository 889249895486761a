package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatepass-ci/gatepass/internal/words"
)

func TestGuard(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ünïcode ✔\n\tand a tab\n":                "plain, ünïcode ✔\n\tand a tab\n",
		"\x1b[2J\x1b]0;title\x07":                        "\uFFFD[2J\uFFFD]0;title\uFFFD",
		"\x1b[31mred\x1b[0m":                             "\uFFFD[31mred\uFFFD[0m", // only a terminal gets colours
		"ok\rFAIL\b\b":                                   "ok\uFFFDFAIL\uFFFD\uFFFD",
		"\u009b2J\u0085\u202e\u2066\u200e\U000e0041\x7f": strings.Replace(strings.Repeat("\uFFFD", 7), "\uFFFD", "\uFFFD2J", 1),
		"a\xffb": "a\uFFFDb",
	} {
		for _, size := range []int{1, 2, 3, len(text)} {
			var out bytes.Buffer
			w := Guard(&out)
			for rest := []byte(text); len(rest) > 0; {
				n, err := w.Write(rest[:min(size, len(rest))])
				if err != nil || n != min(size, len(rest)) {
					t.Fatalf("%d %v", n, err)
				}
				rest = rest[n:]
			}
			if got := out.String(); got != want {
				t.Errorf("%q by %d bytes: %q, want %q", text, size, got, want)
			}
		}
	}
	var out bytes.Buffer
	if w := Guard(&out); Guard(w) != w || Unguarded(w) != &out || Unguarded(&out) != &out {
		t.Error("a guard of a guard, or what is behind it, is another")
	}
}

func FuzzGuard(f *testing.F) {
	f.Add([]byte("\x1b[31m\u202e"), []byte("\xe2\x80"))
	f.Add([]byte("\xe2"), []byte("\x80\xae"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var out bytes.Buffer
		w := Guard(&out)
		_, _ = w.Write(a)
		_, _ = w.Write(b)
		bad := bytes.IndexFunc(out.Bytes(), func(r rune) bool { return r != '\n' && r != '\t' && !words.Harmless(r) })
		if bad >= 0 || !utf8.Valid(out.Bytes()) {
			t.Errorf("%q %q: %q", a, b, &out)
		}
	})
}
