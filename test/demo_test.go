package test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demonstration says what the README says that it says, and leaves nothing
// behind; also where OpenSSH is not installed.
func TestDemo(t *testing.T) {
	t.Run("with ssh", func(t *testing.T) {
		t.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin") // where sshd is, whoever runs this
		need(t, "ssh")
		need(t, "sshd")
		account, err := user.Current()
		must(t, err)
		runDemo(t, os.Getenv("PATH"), "ssh_config "+account.Username+"@localhost echo 'hello world'\n   hello world\n")
	})
	t.Run("without ssh", func(t *testing.T) {
		out := runDemo(t, t.TempDir(), "A server that trusts the authority above lets this in as deploy until then, and as nobody else.\n")
		if !strings.Contains(out, "   note: OpenSSH is not installed") || !strings.Contains(out, "principals   deploy\n") {
			t.Errorf("it does not say what a server would see:\n%s", out)
		}
	})
}

// runDemo runs the demonstration, which must say login twice, once for each CI.
func runDemo(t *testing.T, path, login string) string {
	t.Helper()
	tmp := t.TempDir()
	args := []string{binary(t, "gatepassctl"), "demo"}
	if path == os.Getenv("PATH") { // with sshd
		args = append(withOwnRun(t), args...)
	}
	cmd := exec.CommandContext(within(t, 2*time.Minute), args[0], args[1:]...)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "PATH="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"$ gatepass start identity --destination=./tbot-user --join-method=bitbucket --proxy-server=127.0.0.1:",
		"$ gatepass start -c tbot.yaml",
		"exit code 3",
		"allow[0]  branch_name  main        feature/x",
		"Nothing is left behind.",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if n := strings.Count(string(out), login); n != 2 {
		t.Errorf("it says %q %d times, want 2:\n%s", login, n, out)
	}
	if strings.Contains(string(out), "eyJ") || strings.Contains(string(out), "PRIVATE") {
		t.Errorf("it shows a secret:\n%s", out)
	}
	if strings.Contains(string(out), "it leaves files in /run") {
		t.Error("it leaves files in /run")
	}
	left, err := filepath.Glob(filepath.Join(tmp, "*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	return string(out)
}

// withOwnRun begins a command that sees an empty /run of its own, which it must leave empty. As
// root sshd wants a folder there, and tests that run meanwhile look at the machine's.
func withOwnRun(t *testing.T) []string {
	t.Helper()
	command := []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o mode=755 tmpfs /run || exit; "$@" || exit; test -z "$(ls /run)" || echo it leaves files in /run`, "sh"}
	unshare, err := exec.LookPath(command[0])
	if err != nil || os.Getuid() != 0 || exec.Command(unshare, "--mount", "true").Run() != nil {
		return nil
	}
	command[0] = unshare
	return command
}
