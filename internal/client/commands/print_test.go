package commands

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

// Whoever answers in place of the service chooses the names in its certificate,
// which a message repeats. They must not drive a terminal.
func TestMessagesDoNotDriveATerminal(t *testing.T) {
	var out strings.Builder
	env := &Env{Env: cli.Env{Name: "gatepass", Err: &out, Getenv: func(string) string { return "" }}}
	long := strings.Repeat("x", 3000) // which has an end in a build log
	exit := env.report(newRoot(env), cli.Errorf(cli.ExitUnreachable, "valid for a\x1b[2J\rb, not\nc %s", long).Hint("h\x1b[2J"))
	env.warn("w\x1b[2J")
	want := "gatepass: error: " + ("valid for a [2J b, not; c " + long)[:2000] + "…\ngatepass: hint: h [2J\ngatepass: warning: w [2J\n"
	if out.String() != want || exit != cli.ExitUnreachable {
		t.Errorf("exit %d: got %q", exit, out.String())
	}
}
