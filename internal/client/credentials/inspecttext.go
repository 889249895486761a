package credentials

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/words"
)

// Text writes a credential as aligned lines for people.
func (c *Credential) Text(w io.Writer, style cli.Style) {
	kind := c.Kind
	if c.Authority {
		kind += " (authority)"
	}
	fmt.Fprintf(w, "%s: %s\n", words.Clean(c.File), style.Bold(kind))
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", label, words.Clean(value))
		}
	}
	line("key id", c.KeyID)
	line("subject", c.Subject)
	line("names", strings.Join(c.Names, ", "))
	line("principals", strings.Join(c.Principals, ", "))
	line("plugin", c.Plugin)
	line("note", c.Note)
	line("issuer", c.Issuer)
	line("serial", c.Serial)
	line("key", c.Algorithm)
	line("fingerprint", c.Fingerprint)
	line("extensions", strings.Join(c.Extensions, ", "))
	line("critical", strings.Join(c.CriticalOptions, ", "))
	if c.ValidUntil != nil {
		line("valid from", c.ValidFrom.Local().Format(time.DateTime))
		left := c.urgency(style)(remainingText(*c.RemainingSeconds))
		fmt.Fprintf(w, "  %-12s %s, %s\n", "valid until", c.ValidUntil.Local().Format("2006-01-02 15:04:05 MST"), left)
	}
}

// urgency is the colour of what has ended, ends within a minute, or holds.
func (c *Credential) urgency(style cli.Style) func(string) string {
	switch {
	case *c.RemainingSeconds < 0:
		return style.Red
	case *c.RemainingSeconds < 60:
		return style.Yellow
	}
	return style.Green
}

func remainingText(seconds int64) string {
	if seconds < 0 {
		return fmt.Sprintf("expired %s ago", time.Duration(-seconds)*time.Second)
	}
	return fmt.Sprintf("%s left", time.Duration(seconds)*time.Second)
}
