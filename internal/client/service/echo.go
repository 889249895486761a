package service

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// secret is the ID token of a request. What a service says, or something in front of it, goes
// into a build log: a token that is echoed must not get there. Empty, it hides nothing.
type secret string

// hide takes the ID token, and its signature alone, out of a text.
func (s secret) hide(text string) string {
	if s == "" {
		return text
	}
	text = strings.ReplaceAll(text, string(s), "[ID token]")
	if dot := strings.LastIndexByte(string(s), '.'); dot >= 0 && dot+1 < len(s) {
		text = strings.ReplaceAll(text, string(s[dot+1:]), "[its signature]")
	}
	return text
}

// hideIn does so in every text of a JSON value, however that is written. What is no JSON
// comes back as it is: nobody prints it.
func (s secret) hideIn(body []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if s == "" || decoder.Decode(&value) != nil || decoder.More() {
		return body
	}
	hidden, err := json.Marshal(s.hideValue(value))
	if err != nil {
		return body
	}
	return hidden
}

func (s secret) hideValue(value any) any {
	switch v := value.(type) {
	case string:
		return s.hide(v)
	case []any:
		for i := range v {
			v[i] = s.hideValue(v[i])
		}
	case map[string]any:
		hidden := make(map[string]any, len(v))
		for key, member := range v {
			hidden[s.hide(key)] = s.hideValue(member)
		}
		return hidden
	}
	return value
}

// hideError does so in an error, whose text may be a line of the answer.
func (s secret) hideError(err error) error {
	return told{text: words.Clean(s.hide(err.Error())), error: err}
}

// told is an error with another text.
type told struct {
	error
	text string
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.error }
