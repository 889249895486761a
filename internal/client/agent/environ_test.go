package agent

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The script of an environment assigns what it says and runs nothing, in every shell.
func TestScriptOnlyAssigns(t *testing.T) {
	values := []string{
		"", "plain", "two words", "it's", "''", `"`, `\`, `\'`, "$(echo no)", "`echo no`", "${HOME}", "a\nb", "-n", "~", "*", "ä\x7f\x01", "'; echo no; '", "a=b",
	}
	environ := NewEnviron(nil)
	for i, value := range values {
		environ.Set("V"+string(rune('A'+i)), value)
	}
	script := string(environ.Script("A comment"))
	if first, _, _ := strings.Cut(script, "\n"); first != "# A comment" {
		t.Errorf("it begins with %q", first)
	}
	for _, shell := range []string{"sh", "bash", "dash"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, "-eu", "-c", script+"\nenv -0")
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v %s", shell, err, out)
		}
		got := strings.Split(string(out), "\x00")
		for _, entry := range environ.List() {
			if !slices.Contains(got, entry) {
				t.Errorf("%s: %q is not in %q", shell, entry, got)
			}
		}
	}
}

func TestFilesOfTheFirstIdentityCount(t *testing.T) {
	environ := NewEnviron(nil)
	environ.SetSSHFiles("/first")
	environ.SetSSHFiles("/second")
	want := []string{"GATEPASS_SSH_CONFIG=/first/ssh_config", "GATEPASS_KNOWN_HOSTS=/first/known_hosts"}
	if got := environ.List(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
