package provider

import (
	"regexp"
	"strings"
)

// Form is how the value of a setting or a rule's field looks, and so how it is checked,
// brought into its canonical form and compared with a claim. The zero value is a text.
type Form int

// The forms.
const (
	Text     Form = iota // printable; compared byte for byte, or as a glob
	UUID                 // compared without regard to case and braces
	Number               // digits; compared byte for byte
	Issuer               // a https URL without query, fragment and slash at its end
	Audience             // printable, without *
	Flag                 // true or false
)

// Value is what a setting and a field have in common.
type Value struct {
	Name string // snake_case
	Form Form
	// Meaning is told by the JSON Schema and the reference, in half a sentence.
	Meaning string
	// Of and Where, of a UUID: what it is the UUID of, and where a person finds it.
	Of, Where string
	Braces    bool // a UUID is kept in braces, as the CI's claims have it
	// Pattern is how the whole value looks, if its form does not say enough, and Mistake
	// says of what is commonly written in its place what is wrong with it.
	Pattern, Mistake string
	pattern          *regexp.Regexp
}

// Looks reports whether a value fits the pattern.
func (v *Value) Looks(value string) bool { return v.pattern == nil || v.pattern.MatchString(value) }

// compile makes the pattern one of the whole value.
func (v *Value) compile() {
	if v.Pattern != "" {
		v.pattern = regexp.MustCompile(`\A(?:` + v.Pattern + `)\z`)
	}
}

// SameUUID reports whether two spellings name one UUID, without regard to case and braces.
func SameUUID(a, b string) bool { return strings.EqualFold(TrimBraces(a), TrimBraces(b)) }

// TrimBraces takes away one pair of braces around s.
func TrimBraces(s string) string {
	if len(s) >= 2 && s[0] == '{' && s[len(s)-1] == '}' {
		return s[1 : len(s)-1]
	}
	return s
}

// Setting is a setting of a CI's section in a token rule.
type Setting struct {
	Value
	// Missing says what to write, of a setting that is required; "" of one that is not.
	Missing string
	Default string // as the reference tells it
}

// Field is a field of a CI's rules.
type Field struct {
	Value
	Claim string // that it is compared with: a text
	Many  bool   // the claim is a list of texts, of which any one may be the value
	Glob  bool   // with enable_glob_matching the value is a pattern
}

// GlobSetting is the flag that turns patterns on. A CI one of whose fields may be a
// pattern has it.
const GlobSetting = "enable_glob_matching"

// Section is the part of a token rule for one CI.
type Section struct {
	Settings    Values   // texts, in the order of the table; those that are written
	Flags       []string // those that are true, in the order of the table
	Allow, Deny []Values // rules: the fields that each names, in the order of the table
}

// Get returns a setting, or "" if it is not written.
func (s *Section) Get(setting string) string { return s.Settings.Get(setting) }

// Is reports whether a flag is true.
func (s *Section) Is(flag string) bool {
	for _, name := range s.Flags {
		if name == flag {
			return true
		}
	}
	return false
}

// Values are names with their values, none of which is empty.
type Values []Named

// Named is one of them.
type Named struct{ Name, Value string }

// Get returns the value of a name, or "" if it is not among them.
func (v Values) Get(name string) string {
	for i := range v {
		if v[i].Name == name {
			return v[i].Value
		}
	}
	return ""
}
