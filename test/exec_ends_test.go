package test

import "testing"

// A command runs with a key and a certificate that only its agent has.
func TestExecRuns(t *testing.T) {
	w := newWorld(t)
	out := w.run(t, "exec", "--", "sh", "-c", `ssh -F "$GATEPASS_SSH_CONFIG" -p "$HOST_PORT" deploy@127.0.0.1 whoami`).ok(t)
	if out != "deploy\n" {
		t.Errorf("it says %q", out)
	}
	w.nothingLeft(t)
}
