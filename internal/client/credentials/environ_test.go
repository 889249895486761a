package credentials

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

func TestEnviron(t *testing.T) {
	e := NewEnviron([]string{"PATH=/bin", "TOKEN=1", "TOKEN=2", "TOKENS=3", "PGUSER=root", "SSH_AGENT_PID=1"})
	e.Unset("TOKEN")
	e.SetOutput("database", "/f/database-1", []Variable{{"PGUSER", "o'neil"}, {"PGSSLKEY", "/f/a b"}})
	e.SetOutput("database", "/f/database-2", []Variable{{"PGUSER", "second"}})
	e.SetOutput("kubernetes", "/f/kubernetes-3", []Variable{{"KUBECONFIG", "/f/kubernetes-3/kubeconfig.yaml"}})
	e.SetSSH("/f/login", "/f/login/agent.sock")
	got := e.List()
	for _, want := range []string{
		"PATH=/bin", "TOKENS=3", "PGUSER=o'neil", "PGSSLKEY=/f/a b", "KUBECONFIG=/f/kubernetes-3/kubeconfig.yaml",
		"GATEPASS_DATABASE_DIR=/f/database-1", "SSH_AUTH_SOCK=/f/login/agent.sock", "GIT_SSH_COMMAND=ssh -F /f/login/ssh_config",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	for _, name := range []string{"TOKEN", "SSH_AGENT_PID"} {
		if slices.ContainsFunc(got, func(entry string) bool { return strings.HasPrefix(entry, name+"=") }) {
			t.Errorf("%s is still there: %q", name, got)
		}
	}
}
