package server

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestDecodeJoin(t *testing.T) {
	for _, c := range []struct {
		name, body string
		wants      string // what the error names; empty if it is taken
	}{
		{"the least", `{"token":"t","id_token":"x","credentials":[]}`, ""},
		{"an empty object", `{}`, ""},
		{"white space around", " \n{}\n ", ""},
		{"nothing", ``, "not one valid JSON value"},
		{"an array", `[]`, "the body has a value of the wrong type"},
		{"null", `null`, ""}, // an empty request, which lacks a token
		{"two values", `{}{}`, "not one valid JSON value"},
		{"cut off", `{"token":"t"`, "not one valid JSON value"},
		{"a comment", `{/* */}`, "not one valid JSON value"},
		{"a trailing comma", `{"token":"t",}`, "not one valid JSON value"},
		{"an unknown field", `{"tokne":"t"}`, `"tokne" is not a field`},
		{"another case", `{"Token":"t"}`, `"Token" is not a field`},
		{"a field twice", `{"token":"a","token":"b"}`, `"token" is there twice`},
		{"a field twice, once escaped", `{"token":"a","\u0074oken":"b"}`, `"token" is there twice`},
		{"an unknown field of a credential", `{"credentials":[{"name":"a"},{"nmae":"b"}]}`, `"credentials[1].nmae" is not a field`},
		{"a field of a credential twice", `{"credentials":[{"csr":"a","csr":"b"}]}`, `"credentials[0].csr" is there twice`},
		{"a number for a string", `{"token":1}`, `"token" has a value of the wrong type`},
		{"a string for a number", `{"ttl_seconds":"900"}`, `"ttl_seconds" has a value of the wrong type`},
		{"a fraction of a second", `{"ttl_seconds":1.5}`, `"ttl_seconds" has a value of the wrong type`},
		{"more seconds than there are", `{"ttl_seconds":99999999999999999999}`, `"ttl_seconds" has a value of the wrong type`},
		{"an object for a list", `{"credentials":{}}`, `"credentials" has a value of the wrong type`},
		{"invalid UTF-8", "{\"token\":\"\xff\"}", "not one valid JSON value"},
		{"half a surrogate pair", `{"token":"\ud800"}`, "not one valid JSON value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeJoin([]byte(c.body))
			switch {
			case c.wants == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.wants != "" && (err == nil || !strings.Contains(err.Error(), c.wants)):
				t.Errorf("got %v, want an error with %q", err, c.wants)
			}
		})
	}
}

// Errors are for build logs: they never quote a value, which may be the ID token.
func TestDecodeErrorsQuoteNoValue(t *testing.T) {
	for _, body := range []string{
		`{"id_token":["SECRET"]}`, `{"id_token":"SECRET","id_token":"SECRET"}`, `{"id_token":"SECRET"`, `{"ttl_seconds":"SECRET"}`,
		`{"id_token":"SECRET","x":1}`, `"SECRET"`, "{\"id_token\":\"SECRET\xff\"}",
	} {
		if _, err := decodeJoin([]byte(body)); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// What is taken reads the same to encoding/json, which does not mind duplicates
// or case: no second reader of a request could take it differently.
func FuzzDecodeJoin(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzDecodeJoin"); err != nil || len(seeds) < 5 {
		f.Fatalf("the committed seeds are missing: %d, %v", len(seeds), err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decodeJoin(body)
		if err != nil {
			if msg := err.Error(); !utf8.ValidString(msg) || len(msg) > 1000 || strings.ContainsAny(msg, "\r\n") {
				t.Errorf("error %q is not fit for a log", msg)
			}
			return
		}
		var again api.JoinRequest
		if err := json.Unmarshal(body, &again); err != nil {
			t.Fatalf("encoding/json refuses what was taken: %v", err)
		}
		a, _ := json.Marshal(req)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Errorf("read as %s and as %s", a, b)
		}
	})
}
