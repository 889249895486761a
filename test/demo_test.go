package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demonstration says what the README says that it says, and leaves nothing
// behind; also where OpenSSH's client is not installed.
func TestDemo(t *testing.T) {
	t.Run("with ssh", func(t *testing.T) {
		need(t, "ssh")
		runDemo(t, os.Getenv("PATH"), "ssh_config deploy@localhost echo \"hello world\"\n   hello world\n")
	})
	t.Run("without ssh", func(t *testing.T) {
		runDemo(t, t.TempDir(), "note: ssh is not installed; a small client in Go logs in with the same files\n   hello world\n")
	})
}

func runDemo(t *testing.T, path, login string) {
	t.Helper()
	// Not t.TempDir: the SSH server's accounts must be able to reach their homes in it.
	tmp, err := os.MkdirTemp("", "gatepass-test-demo-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	must(t, os.Chmod(tmp, 0o755))
	cmd := exec.CommandContext(within(t, time.Minute), binary(t, "gatepassctl"), "demo")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "PATH="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"$ gatepass start identity --destination=./tbot-user --join-method=bitbucket --proxy-server=127.0.0.1:",
		"$ gatepass start -c tbot.yaml",
		login,
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
