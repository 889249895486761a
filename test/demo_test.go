package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demonstration says what the README says that it says, and leaves nothing behind.
func TestDemo(t *testing.T) {
	need(t, "ssh")
	// Not t.TempDir: the SSH server's accounts must be able to reach their homes in it.
	tmp, err := os.MkdirTemp("", "gatepass-test-demo-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	must(t, os.Chmod(tmp, 0o755))
	cmd := exec.CommandContext(within(t, time.Minute), binary(t, "gatepassctl"), "demo")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"$ gatepass start identity --destination=./tbot-user --join-method=bitbucket --proxy-server=127.0.0.1:",
		"$ gatepass start -c tbot.yaml",
		"ssh_config deploy@localhost echo \"hello world\"\n   hello world\n",
		"exit code 3",
		"allow[0]  branch_name  main        feature/x",
		"Nothing is left behind.",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if n := strings.Count(string(out), "\n   hello world\n"); n != 2 {
		t.Errorf("%d logins of 2", n)
	}
	if strings.Contains(string(out), "eyJ") || strings.Contains(string(out), "PRIVATE") {
		t.Errorf("it shows a secret:\n%s", out)
	}
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}
