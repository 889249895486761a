package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a resource. They bound what a join has to read and a person to review.
const (
	maxRules       = 1000 // allow rules of a token, and deny rules
	maxRoles       = 100  // roles of a bot
	maxTraits      = 100  // traits of a bot
	maxValues      = 1000 // values of a trait, or of one list of grants
	maxExtensions  = 32   // certificate extensions of a role
	maxLabels      = 256  // labels of a resource
	maxName        = 253  // bytes of a name
	maxBotName     = 64   // bytes of a bot's: it is the common name of certificates (RFC 5280 appendix A.1)
	maxTraitName   = 64   // bytes
	maxLabel       = 253  // bytes of a label's name, and of its value
	maxDescription = 16 << 10
	maxLogin       = 256 // bytes
	maxGrant       = 64  // characters of a name in a certificate's subject
	maxValue       = 256 // characters of a trait's value, or of an audience
	maxField       = 512 // characters of a value that a claim is compared with, or of a glob
	maxCommand     = 4096
	maxIssuer      = 512
	maxJoinsLimit  = 100
	maxTokenAge    = 24 * time.Hour
)

// fault is what is wrong with one field.
type fault struct {
	field   string
	message string
}

func (f fault) Error() string {
	if f.field == "" {
		return f.message
	}
	return f.field + ": " + f.message
}

// checker collects faults.
type checker struct {
	faults []fault
	late   []fault // of durations and times, found as they were read
}

// read notes what was found as a duration or a time was read.
func (c *checker) read(p *path) {
	if len(c.late) == 0 {
		return
	}
	for _, f := range c.late {
		if f.field == p.String() {
			c.faults = append(c.faults, f)
		}
	}
}

// unreadable reports that a duration or a time is written and was not understood.
func (c *checker) unreadable(p *path) bool {
	return slices.ContainsFunc(c.late, func(f fault) bool { return f.field == p.String() })
}

// fault notes a problem; "" is none.
func (c *checker) fault(p *path, problem string) {
	if problem != "" {
		c.faults = append(c.faults, fault{field: p.String(), message: problem})
	}
}

// count notes that a list is longer than it may be, and says how many of its
// elements to look at.
func (c *checker) count(p *path, n, limit int, what string) int {
	if n > limit {
		c.fault(p, fmt.Sprintf("has %d %s; at most %d are allowed", n, what, limit))
		return limit
	}
	return n
}

// unique notes the elements of a list that were there before.
func (c *checker) unique(p *path, list []string) {
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		if seen[s] {
			at := p.element(i)
			c.fault(&at, fmt.Sprintf("%q is there twice; remove one of them", s))
		}
		seen[s] = true
	}
}

const nameRule = "a name starts with a-z or 0-9 and goes on with a-z, 0-9, dot, underscore and hyphen"

// checkName says what is wrong with a resource's name.
func checkName(name string, limit int) string {
	switch {
	case name == "":
		return "is missing; " + nameRule
	case len(name) > limit:
		return fmt.Sprintf("has %d characters; a name here has at most %d", len(name), limit)
	}
	for i := range len(name) {
		b := name[i]
		if isLowerAlnum(b) || i > 0 && (b == '.' || b == '_' || b == '-') {
			continue
		}
		if lower := strings.ToLower(name); lower != name && checkName(lower, limit) == "" {
			return fmt.Sprintf("%q has capital letters; write %q", name, lower)
		}
		return fmt.Sprintf("%q is not a name; %s", name, nameRule)
	}
	return ""
}

func isLowerAlnum(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }

func isAlpha(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }

// checkPrintable says what is wrong with a value that ends up in a certificate,
// a log or a comparison: it is 1 to limit printable characters, and no space
// stands at either end, where nobody would see it.
func checkPrintable(s string, limit int) string {
	switch {
	case s == "":
		return "is empty; write a value or leave it out"
	case utf8.RuneCountInString(s) > limit:
		return fmt.Sprintf("has %d characters; at most %d are allowed", utf8.RuneCountInString(s), limit)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	case strings.TrimSpace(s) != s:
		return fmt.Sprintf("%q begins or ends with a space; remove it", s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("%q has the unprintable character %U; remove it", s, r)
		}
	}
	return ""
}

// checkProse says what is wrong with text for people: it may have several lines.
func checkProse(s string, limit int) string {
	switch {
	case len(s) > limit:
		return fmt.Sprintf("has %d bytes; at most %d are allowed", len(s), limit)
	case !utf8.ValidString(s):
		return "is not UTF-8"
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || r == '\ufeff' || r >= 0xfffe && r <= 0xffff) {
			return fmt.Sprintf("has the control character %U; remove it", r)
		}
	}
	return ""
}

// parseDuration reads a positive duration of whole seconds, or says what is wrong.
func parseDuration(s string) (d time.Duration, problem string) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Sprintf("%q is not a duration; write one such as 30m or 1h", s)
	case d <= 0:
		return 0, fmt.Sprintf("%q is not positive; write a duration such as 30m, or leave it out", s)
	case d%time.Second != 0:
		return 0, fmt.Sprintf("%q is not a whole number of seconds", s)
	}
	return d, ""
}

// formatDuration writes 1h where time.Duration writes 1h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String() // 1h0m0s
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseTime reads a time (RFC 3339 §5.6), or says what is wrong.
func parseTime(s string) (t time.Time, problem string) {
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, fmt.Sprintf("%q is not a time; write one such as 2100-01-01T00:00:00Z", s)
	}
	if t = t.UTC(); t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Sprintf("%q is out of range; write a time of the years 1970 to 9999", s)
	}
	return t, ""
}
