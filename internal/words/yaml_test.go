package words_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// hostile are texts that a job can have in a claim, such as its branch's name.
var hostile = []string{
	"", " ", "plain", "\u0090", "a\u0085b", "\u202eevil", "\x1b[2J\x1b]0;title\x07", "\x7f", "\x00", "\r\n", "\n", "\n a", " a\nb", "a\n\n", "\ta\n", "a \nb", "\ufeff",
	"\u2028", "\u2029", "\u2066", "\U000e0041", "\U0001f600", "\u00a0", "a\xffb", "- a: b", "---\n", "...", "? x", "!!binary x", "&a *a", "null", "1e400", "0x1f", "yes", "'\"\\", "#", "%x",
	strings.Repeat("k", 200) + "\u0090", strings.Repeat("long ", 100),
}

// FuzzFormats: whatever is in a record, each format is valid, says the same, and has no
// character that moves a terminal.
func FuzzFormats(f *testing.F) {
	for i, s := range hostile {
		f.Add(s, hostile[(i+1)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = strings.ToValidUTF8(a, "\uFFFD"), strings.ToValidUTF8(b, "\uFFFD") // as JSON has it
		want := map[string]any{"a": a, b: []any{a, map[string]any{a: b, "n": nil, "t": true, "f": 1.5}, []any{}, map[string]any{}}}
		encoded, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		text, err := words.YAML(encoded)
		if err != nil {
			t.Fatalf("%q: %v", encoded, err)
		}
		for format, read := range map[string]func([]byte, any) error{"json": json.Unmarshal, "yaml": yaml.Unmarshal} {
			said := map[string][]byte{"json": words.EscapeJSON(encoded), "yaml": text}[format]
			var got map[string]any
			if err := read(said, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %q:\n%s\nis read as %#v, %v", format, encoded, said, got, err)
			}
			if bad := bytes.IndexFunc(said, func(r rune) bool { return r != '\n' && !words.Harmless(r) }); bad >= 0 || !utf8.Valid(said) {
				t.Errorf("%s of %q has a character that moves a terminal: %q", format, encoded, said)
			}
		}
	})
}

// Numbers stay as they are written, and fields in their order.
func TestYAML(t *testing.T) {
	got, err := words.YAML([]byte(`{"z": 12345678901234567890, "a": [1e4, "1e4", {}, []], "t": "one\ntwo\n"}`))
	if want := "z: 12345678901234567890\na:\n  - 1e4\n  - \"1e4\"\n  - {}\n  - []\nt: |\n  one\n  two\n"; err != nil || string(got) != want {
		t.Errorf("%v:\n%s", err, got)
	}
	if _, err := words.YAML([]byte(`{"a":`)); err == nil {
		t.Error("half of a value is taken")
	}
}
