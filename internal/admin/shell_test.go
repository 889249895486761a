package admin_test

import (
	"os/exec"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/admin"
)

func TestShellWord(t *testing.T) {
	for _, word := range []string{"", "./gatepass-data", "my data", "it's", "$HOME; rm x", "a\nb", `\\"`, "~", "ü"} {
		out, err := exec.Command("sh", "-c", "printf %s "+admin.ShellWord(word)).CombinedOutput()
		if err != nil || string(out) != word {
			t.Errorf("%q is %s, which the shell takes for %q, %v", word, admin.ShellWord(word), out, err)
		}
	}
	if got := admin.ShellWord("/var/lib/gatepass-1"); got != "/var/lib/gatepass-1" {
		t.Errorf("a plain path is written as %s", got)
	}
}
