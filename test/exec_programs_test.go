package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// Stock programs log in with what exec gives them, and with nothing else.
func TestExecPrograms(t *testing.T) {
	for _, name := range []string{"ssh", "scp", "sftp", "rsync", "git", "ssh-add"} {
		need(t, name)
	}
	w := newLoginWorld(t)
	large(t, filepath.Join(w.home, "file"), 1<<20)
	for name, script := range map[string]string{
		"ssh":                `test "$(ssh -F "$GATEPASS_SSH_CONFIG" -p "$HOST_PORT" deploy@127.0.0.1 whoami)" = deploy`,
		"scp":                `scp -q -F "$GATEPASS_SSH_CONFIG" -P "$HOST_PORT" file deploy@127.0.0.1:scp && scp -q -F "$GATEPASS_SSH_CONFIG" -P "$HOST_PORT" deploy@127.0.0.1:scp back && cmp file back`,
		"sftp":               `echo 'put file sftp' | sftp -q -F "$GATEPASS_SSH_CONFIG" -P "$HOST_PORT" -b - deploy@127.0.0.1 && echo 'get sftp back2' | sftp -q -F "$GATEPASS_SSH_CONFIG" -P "$HOST_PORT" -b - deploy@127.0.0.1 && cmp file back2`,
		"rsync -e":           `rsync -e "ssh -F $GATEPASS_SSH_CONFIG -p $HOST_PORT" file deploy@127.0.0.1:rsync && rsync -e "ssh -F $GATEPASS_SSH_CONFIG -p $HOST_PORT" deploy@127.0.0.1:rsync back3 && cmp file back3`,
		"rsync by RSYNC_RSH": `RSYNC_RSH="$RSYNC_RSH -p $HOST_PORT"; export RSYNC_RSH; rsync file deploy@127.0.0.1:rsync2`,
		"git": `ssh -F "$GATEPASS_SSH_CONFIG" -p "$HOST_PORT" deploy@127.0.0.1 git init -q --bare -b main shop.git &&
			git clone -q "ssh://deploy@127.0.0.1:$HOST_PORT/~/shop.git" shop 2>/dev/null && cd shop && cp ../file . && git add file &&
			git -c user.name=x -c user.email=x@example.com commit -qm one && git push -q origin HEAD:main &&
			git clone -q "ssh://deploy@127.0.0.1:$HOST_PORT/~/shop.git" ../again && cmp ../again/file file`,
		"ssh-add -l":                 `ssh-add -l | grep -q 'gatepass:example:.*(ECDSA-CERT)' && test "$(ssh-add -l | wc -l)" = 1`,
		"the agent takes no other":   `ssh-keygen -q -t ed25519 -N '' -f other && ! ssh-add other 2>/dev/null && test "$(ssh-add -l | wc -l)" = 1`,
		"the agent keeps its key":    `! ssh-add -D 2>/dev/null; ! ssh-add -d other 2>/dev/null; ! ssh-add -x </dev/null 2>/dev/null; ssh-add -l >/dev/null`,
		"a host without certificate": `! ssh -F "$GATEPASS_SSH_CONFIG" -p "$PLAIN_PORT" deploy@127.0.0.1 true 2>err && grep -q 'Host key verification failed' err`,
	} {
		t.Run(name, func(t *testing.T) {
			w.run(t, "exec", "--", "sh", "-c", script).OK(t)
			w.nothingLeft(t)
		})
	}
	t.Run("a known host without certificate", func(t *testing.T) {
		known := write(t, t.TempDir(), "known", "[127.0.0.1]:"+port(t, w.plain)+" "+authorizedLine(w.plain.HostKey())+"\n")
		w.run(t, "exec", "--known-hosts", known, "--", "sh", "-c", `ssh -F "$GATEPASS_SSH_CONFIG" -p "$PLAIN_PORT" deploy@127.0.0.1 true`).OK(t)
	})
	t.Run("other credentials", func(t *testing.T) { execAlso(t, w) })
	t.Run("--ssh-add", func(t *testing.T) { execAdd(t, w) })
}

// Credentials besides those for SSH are files, and variables that name them.
func execAlso(t *testing.T, w *world) {
	out := w.run(t, "exec", "--ssh=false", "--also", "database,username=app,database=orders", "--also", "database,username=app,format=mysql",
		"--also", "kubernetes,kubernetes-server=https://127.0.0.1:1,kubernetes-user=ci", "--also", "jwt,jwt-audience=https://vault.example.com",
		"--", "sh", "-c", `test -z "$SSH_AUTH_SOCK" && openssl x509 -noout -subject -in "$PGSSLCERT" && openssl pkey -noout -in "$PGSSLKEY" && stat -c %a "$PGSSLKEY" &&
			echo "$PGUSER $PGDATABASE $PGSSLMODE" && grep -c ssl-cert "$MYSQL_HOME/my.cnf" && grep -c 127.0.0.1:1 "$KUBECONFIG" && cut -c1-3 "$GATEPASS_JWT_DIR/jwt" && env | grep -c eyJ`)
	want := []string{"CN = app", "600", "app orders verify-full", "1", "1", "eyJ", "0"}
	lines := strings.Split(strings.TrimSpace(out.Stdout), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%q %s", lines, out.Stderr)
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) {
			t.Errorf("line %d is %q, want %q", i+1, lines[i], want[i])
		}
	}
	w.nothingLeft(t)
}

// An agent that runs already gets the key until the certificate ends.
func execAdd(t *testing.T, w *world) {
	need(t, "ssh-agent")
	socket := filepath.Join(w.home, "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	must(t, agent.Start())
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait(); _ = os.Remove(socket) })
	eventually(t, "the agent listens", func() bool { _, err := os.Stat(socket); return err == nil })

	cmd := w.command(t, "exec", "--ssh-add", "--ttl", "3s")
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	if out := worldtest.Run(t, cmd).OK(t); !strings.Contains(out, "added to     "+socket) || !strings.Contains(out, "principals   deploy") {
		t.Errorf("it says %s", out)
	}
	list := func() string {
		cmd := exec.Command("ssh-add", "-l")
		cmd.Env = []string{"SSH_AUTH_SOCK=" + socket}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	if out := list(); !strings.Contains(out, "ECDSA-CERT") {
		t.Errorf("the agent has %q", out)
	}
	eventually(t, "the agent forgets", func() bool { return strings.Contains(list(), "no identities") })

	w.run(t, "exec", "--ssh-add").Failed(t, 1, "SSH_AUTH_SOCK is not set")
	w.run(t, "exec", "--ssh-add", "--", "true").Failed(t, 2, "--ssh-add runs no command")
}
