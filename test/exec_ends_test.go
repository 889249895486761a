package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually waits a little for something to become so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if so() {
			return
		}
	}
	t.Errorf("not so after ten seconds: %s", what)
}

// Whatever way exec ends, no file, no socket, no agent and no child is left.
func TestExecEnds(t *testing.T) {
	w := newLoginWorld(t)
	for name, test := range map[string]struct {
		script string // prints a line when it has begun
		do     func(gatepass *os.Process, child int) error
		status int // -1: by a signal
	}{
		"the command succeeds":        {"echo begun", nil, 0},
		"the command fails":           {"echo begun; exit 41", nil, 41},
		"the command leaves a child":  {"echo begun; sleep 5 >/dev/null 2>&1 </dev/null & exit 0", nil, 0},
		"SIGTERM to the command":      {"echo begun; exec sleep 300", func(_ *os.Process, child int) error { return syscall.Kill(child, syscall.SIGTERM) }, 128 + 15},
		"SIGKILL to the command":      {"echo begun; exec sleep 300", func(_ *os.Process, child int) error { return syscall.Kill(child, syscall.SIGKILL) }, 128 + 9},
		"SIGTERM to gatepass":         {"echo begun; exec sleep 300", signalTo(syscall.SIGTERM), 128 + 15},
		"SIGINT to gatepass":          {"trap 'exit 5' INT; echo begun; while :; do sleep 0.05; done", signalTo(syscall.SIGINT), 5},
		"SIGHUP to gatepass":          {"trap 'exit 6' HUP; echo begun; while :; do sleep 0.05; done", signalTo(syscall.SIGHUP), 6},
		"SIGQUIT to gatepass":         {"ulimit -c 0; echo begun; exec sleep 300", signalTo(syscall.SIGQUIT), 128 + 3},
		"SIGUSR1 to gatepass":         {"trap 'exit 7' USR1; echo begun; while :; do sleep 0.05; done", signalTo(syscall.SIGUSR1), 7},
		"a command that ignores TERM": {"trap '' TERM; echo begun; sleep 0.3; exit 8", signalTo(syscall.SIGTERM), 8},
		"SIGKILL to gatepass":         {"echo begun; exec sleep 300", signalTo(syscall.SIGKILL), -1},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := w.command(t, "exec", "--also", "database,username=app", "--", "sh", "-c", `echo $$ $SSH_AUTH_SOCK; `+test.script)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			lines := bufio.NewReader(stdout)
			first, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%v: %s", err, &stderr)
			}
			var child int
			var socket string
			_, err = fmt.Sscan(first, &child, &socket)
			must(t, err)
			_, err = lines.ReadString('\n')
			must(t, err)
			if test.do != nil {
				must(t, test.do(cmd.Process, child))
			}
			_, _ = io.Copy(io.Discard, lines)
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != test.status {
				t.Errorf("exit status %d, want %d: %s", status, test.status, &stderr)
			}
			w.nothingLeft(t)
			if out, err := exec.Command("env", "SSH_AUTH_SOCK="+socket, "ssh-add", "-l").CombinedOutput(); err == nil {
				t.Errorf("an agent answers: %s", out)
			}
			eventually(t, "the child and the janitor are gone", func() bool {
				return syscall.Kill(child, 0) != nil && len(processesWith(t, w.memory)) == 0
			})
		})
	}
}

func signalTo(sig syscall.Signal) func(*os.Process, int) error {
	return func(gatepass *os.Process, _ int) error { return gatepass.Signal(sig) }
}

// processesWith returns the command lines of processes that contain text.
func processesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	eachProcess(t, func(_ int, dir string) {
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.Contains(line, []byte(text)) {
			found = append(found, string(line))
		}
	})
	return found
}

func eachProcess(t *testing.T, visit func(pid int, dir string)) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must(t, err)
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			visit(pid, filepath.Join("/proc", entry.Name()))
		}
	}
}

// A failed join, a missing command and an interrupted join leave nothing either.
func TestExecBeforeTheCommand(t *testing.T) {
	w := newLoginWorld(t)
	w.run(t, "exec", "--", "no-such-command").Failed(t, 127, "is not found", "hint: ")
	w.nothingLeft(t)
	w.run(t, "exec", "--", "/etc/passwd").Failed(t, 126, "starting the command")
	w.nothingLeft(t)
	w.run(t, "exec").Failed(t, 2, "no command is given")
	w.run(t, "exec", "--token", "nobody", "--", "echo", "ran").Failed(t, 3, "token_not_found")
	w.nothingLeft(t)
	w.run(t, "exec", "--ssh=false", "--", "true").Failed(t, 2, "leaves no credentials")
	w.run(t, "exec", "--also", "database,username=app,destination=/tmp/x", "--", "true").Failed(t, 2, "has no meaning for exec")
	w.nothingLeft(t)

	// A service that does not answer: the signal breaks the join off.
	cmd := w.command(t, "exec", "--server", "http://"+silent(t), "--", "echo", "ran")
	must(t, cmd.Start())
	eventually(t, "there is a private folder", func() bool {
		found, _ := filepath.Glob(filepath.Join(w.memory, "gatepass-exec-*"))
		return len(found) > 0
	})
	time.Sleep(50 * time.Millisecond)
	must(t, cmd.Process.Signal(syscall.SIGHUP))
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 128+1 {
		t.Errorf("exit status %d", status)
	}
	w.nothingLeft(t)
}

// No process shows a secret in its arguments or its environment, save gatepass
// itself, which was given the CI system's variable.
func TestExecShowsNoSecret(t *testing.T) {
	w := newLoginWorld(t)
	for _, keep := range []bool{false, true} {
		args := []string{"exec", "--also", "database,username=app", "--also", "jwt,jwt-audience=https://vault.example.com"}
		if keep {
			args = append(args, "--keep-id-token")
		}
		cmd := w.command(t, append(args, "--", "sh", "-c", "env | grep ^GATEPASS_DIR; ssh-add -l >/dev/null; echo begun; read end")...)
		stdin, err := cmd.StdinPipe()
		must(t, err)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		_, err = bufio.NewReader(stdout).ReadString('\n')
		must(t, err)
		secrets := secretsOf(t, w, cmd)
		shown, looked := 0, 0
		eachProcess(t, func(pid int, dir string) {
			if pid == cmd.Process.Pid || pid == os.Getpid() {
				return
			}
			for _, name := range []string{"cmdline", "environ"} {
				data, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					continue // gone, or another user's
				}
				looked++
				for what, secret := range secrets {
					if bytes.Contains(data, []byte(secret)) {
						shown++
						if !keep {
							t.Errorf("%s of process %d shows %s: %q", name, pid, what, data)
						}
					}
				}
			}
		})
		if looked < 4 {
			t.Errorf("looked at %d files only", looked)
		}
		if keep && shown == 0 {
			t.Error("--keep-id-token keeps nothing, or this test sees nothing")
		}
		must(t, stdin.Close())
		_ = cmd.Wait()
	}
	w.nothingLeft(t)
}

// secretsOf are the ID tokens of a job, and the private keys in exec's folder.
func secretsOf(t *testing.T, w *world, cmd *exec.Cmd) map[string]string {
	t.Helper()
	secrets := make(map[string]string)
	for _, entry := range cmd.Env {
		if name, value, _ := strings.Cut(entry, "="); strings.Contains(name, "OIDC_TOKEN") {
			secrets["the value of "+name] = value
		}
	}
	keys, err := filepath.Glob(filepath.Join(w.memory, "*", "*", "tls.key"))
	must(t, err)
	tokens, err := filepath.Glob(filepath.Join(w.memory, "*", "*", "jwt"))
	must(t, err)
	if len(keys) != 1 || len(tokens) != 1 || len(secrets) != 3 {
		t.Fatalf("%d keys, %d tokens, %d ID tokens", len(keys), len(tokens), len(secrets))
	}
	for _, file := range append(keys, tokens...) {
		data, err := os.ReadFile(file)
		must(t, err)
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
				secrets["a line of "+filepath.Base(file)+" that begins with "+line[:4]] = line
			}
		}
	}
	return secrets
}
