package commands

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/client"
)

// printReport says what was granted, until when, and what to type next.
func (env *Env) printReport(report *client.Report) error {
	for _, warning := range report.Warnings {
		env.warn(warning)
	}
	return env.Print(report, func() { env.reportText(report) })
}

func (env *Env) reportText(report *client.Report) {
	line := func(label, value string) { fmt.Fprintf(env.Out, "%-12s %s\n", label, value) }
	line("join", report.JoinID)
	line("bot", report.Bot)
	for _, out := range report.Outputs {
		if len(report.Outputs) > 1 {
			line("output", out.Type)
		}
		if len(out.Principals) > 0 {
			line("principals", strings.Join(out.Principals, ", "))
		}
		if out.Subject != "" {
			line("subject", out.Subject)
		}
		left := out.ExpiresAt.Sub(env.Now()).Round(time.Second)
		line("expires", fmt.Sprintf("%s, in %s", out.ExpiresAt.Local().Format("2006-01-02 15:04:05 MST"), left))
		if report.TTLLimitedBy != "" {
			line("limited by", limitText(report.TTLLimitedBy))
		}
		line("written to", out.Destination)
		if out.Next != "" {
			line("next", out.Next)
		}
	}
}

func limitText(by string) string {
	switch by {
	case "retry":
		return "an earlier answer to the same request"
	case "server":
		return "the service's maximum"
	case "bot":
		return "the bot's max_session_ttl"
	}
	if role, ok := strings.CutPrefix(by, "role:"); ok {
		return "max_session_ttl of role " + role
	}
	return by
}

// waiting says why nothing seems to happen.
func (env *Env) waiting(why string, pause time.Duration) {
	if env.log != nil {
		env.log.Info("%s; trying again in %s", why, pause.Round(100*time.Millisecond))
		return
	}
	fmt.Fprintf(env.Err, "gatepass: %s; trying again in %s\n", why, pause.Round(100*time.Millisecond))
}
