package words

import (
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Harmless reports whether a character moves nothing on a terminal: it is printable, so
// neither a control character, C1 ones and DEL among them, nor one that changes the
// direction of text or is not seen (Unicode, categories Cc, Cf, Zl, Zp, Co and Cn).
func Harmless(r rune) bool { return unicode.IsPrint(r) }

// LeadingASCII is the length of the printable ASCII at the beginning of text. It is
// harmless, and most text is nothing else: looked at as such it costs little.
func LeadingASCII(text []byte) int {
	for i, b := range text {
		if b < ' ' || b > '~' {
			return i
		}
	}
	return len(text)
}

// EscapeJSON writes in JSON text what is not harmless as \u and four hexadecimal digits,
// which means the same (RFC 8259, section 7). Line breaks between values stay.
func EscapeJSON(text []byte) []byte {
	return escape(text, func(b []byte, r rune) []byte {
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		}
		return fmt.Appendf(b, `\u%04x`, r)
	})
}

// escapeYAML does so in YAML text (YAML 1.2, section 5.7). What is not harmless must
// stand in double quotes there.
func escapeYAML(text []byte) []byte {
	return escape(text, func(b []byte, r rune) []byte {
		if r > 0xFFFF {
			return fmt.Appendf(b, `\U%08X`, r)
		}
		return fmt.Appendf(b, `\u%04X`, r)
	})
}

func escape(text []byte, one func([]byte, rune) []byte) []byte {
	escaped := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if ascii := LeadingASCII(text); ascii > 0 {
			n = ascii
			escaped = append(escaped, text[:n]...)
		} else if Harmless(r) || r == '\n' {
			escaped = append(escaped, text[:n]...)
		} else {
			escaped = one(escaped, r)
		}
		text = text[n:]
	}
	return escaped
}
