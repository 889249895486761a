package inspect

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client/failure"
)

// Text writes a credential as aligned lines for people.
func (c *Credential) Text(w io.Writer) {
	kind := c.Kind
	if c.Authority {
		kind += " (authority)"
	}
	fmt.Fprintf(w, "%s: %s\n", failure.Clean(c.File), kind)
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", label, failure.Clean(value))
		}
	}
	line("key id", c.KeyID)
	line("subject", c.Subject)
	line("names", strings.Join(c.Names, ", "))
	line("principals", strings.Join(c.Principals, ", "))
	line("issuer", c.Issuer)
	line("serial", c.Serial)
	line("key", c.Algorithm)
	line("fingerprint", c.Fingerprint)
	line("extensions", strings.Join(c.Extensions, ", "))
	line("critical", strings.Join(c.CriticalOptions, ", "))
	if c.ValidUntil != nil {
		line("valid from", c.ValidFrom.Local().Format(time.DateTime))
		line("valid until", c.ValidUntil.Local().Format("2006-01-02 15:04:05 MST")+", "+remainingText(*c.RemainingSeconds))
	}
}

func remainingText(seconds int64) string {
	if seconds < 0 {
		return fmt.Sprintf("expired %s ago", time.Duration(-seconds)*time.Second)
	}
	return fmt.Sprintf("%s left", time.Duration(seconds)*time.Second)
}
