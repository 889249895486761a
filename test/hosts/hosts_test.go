// Package hosts tests hosts that were set up by gatepassctl host setup: real joins, and
// a real sshd that has nothing but what was written for it.
package hosts

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

var must = worldtest.Must

// world is a service and its issuer.
type world struct{ *worldtest.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{worldtest.Local(t)}
}

// bot makes a bot with roles, each written as its spec, and a token rule of its name.
func (w *world) bot(t *testing.T, name string, roles ...string) {
	t.Helper()
	var b strings.Builder
	var names []string
	for i, spec := range roles {
		names = append(names, fmt.Sprintf("%s-%d", name, i))
		fmt.Fprintf(&b, "{kind: role, version: v7, metadata: {name: %s}, spec: %s}\n---\n", names[i], spec)
	}
	fmt.Fprintf(&b, "{kind: bot, version: v1, metadata: {name: %s}, spec: {roles: [%s]}}\n---\n", name, strings.Join(names, ", "))
	fmt.Fprintf(&b, `{kind: token, version: v2, metadata: {name: %s}, spec: {roles: [Bot], join_method: bitbucket, bot_name: %s, bitbucket: {
  identity_provider_url: %q, audience: "ari:cloud:bitbucket::workspace/%s", allow: [{workspace_uuid: %q, branch_name: main}]}}}`+"\n",
		name, name, w.Issuer.BitbucketURL(), strings.Trim(issuertest.WorkspaceUUID, "{}"), issuertest.WorkspaceUUID)
	w.Apply(b.String())
}

// job runs gatepass in a new job that joins by a token rule.
func (w *world) job(t *testing.T, token string, args ...string) (output string, status int) {
	t.Helper()
	cmd := w.Gatepass(t, token, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(cmd.Env, "HOME="+cmd.Dir)
	return run(t, cmd)
}

func run(t *testing.T, cmd *exec.Cmd) (output string, status int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// host is a host that was set up, with an sshd.
type host struct {
	top string // its /
	*sshdtest.Server
}

// newHost makes a host with a key of its own that the service signed, sets it up with
// flags, and starts its sshd.
func (w *world) newHost(t *testing.T, accounts []string, flags ...string) *host {
	t.Helper()
	needRoot(t)
	h := &host{top: t.TempDir()}
	must(t, os.Chmod(h.top, 0o755))
	etc := filepath.Join(h.top, "etc", "ssh")
	must(t, os.MkdirAll(etc, 0o755))
	must(t, os.WriteFile(filepath.Join(etc, "sshd_config"), []byte("Include /etc/ssh/sshd_config.d/*.conf\n"), 0o644))
	keyFile := filepath.Join(etc, "ssh_host_ed25519_key")
	worldtest.Output(t, worldtest.Need(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", keyFile)
	w.Ctl("host", "sign", "--principals", "127.0.0.1", "--write", keyFile+".pub")
	h.setup(t, w, flags...)

	pem, err := os.ReadFile(keyFile)
	must(t, err)
	key, err := ssh.ParseRawPrivateKey(pem)
	must(t, err)
	h.Server = sshdtest.Run(t, sshdtest.Config{SSHFolder: etc, Logins: accounts, HostKey: *key.(*ed25519.PrivateKey)})
	return h
}

// setup runs on the host what host setup prints, and returns what that says.
func (h *host) setup(t *testing.T, w *world, flags ...string) string {
	t.Helper()
	script := w.Ctl(append([]string{"host", "setup", "--host-certificate", "/etc/ssh/ssh_host_ed25519_key-cert.pub"}, flags...)...)
	this := &thisHost{t: t, etc: filepath.Join(h.top, "etc", "ssh")}
	out, status := this.run("sh", "-c", script)
	if status != 0 {
		t.Fatalf("status %d:\n%s", status, out)
	}
	return out
}

// TestLabelsDecideWhichHost has two hosts of one service, prod and staging, and bots
// whose roles reach the one, the other, both or neither.
func TestLabelsDecideWhichHost(t *testing.T) {
	w := newWorld(t)
	accounts := []string{"deploy", "app", "other"}
	setup := func(labels string) *host {
		return w.newHost(t, accounts, "--logins", "deploy", "--account", "app=deploy,ops", "--labels", labels)
	}
	hosts := map[string]*host{"prod": setup("env=prod,tier=web"), "staging": setup("env=staging,tier=web")}

	w.bot(t, "staging", "{allow: {logins: [deploy], node_labels: {env: staging}}}")
	w.bot(t, "web", "{allow: {logins: [deploy], node_labels: {tier: web, env: [staging, prod]}}}")
	w.bot(t, "db", "{allow: {logins: [deploy], node_labels: {env: prod, tier: db}}}")
	w.bot(t, "more", "{allow: {logins: [deploy], node_labels: {env: prod, tier: web, rack: a7}}}")
	w.bot(t, "anywhere", "{allow: {logins: [deploy], node_labels: {'*': '*'}}}")
	w.bot(t, "two", "{allow: {logins: [ops], node_labels: {env: staging}}}", "{allow: {logins: [deploy], node_labels: {env: prod}}}")
	w.bot(t, "nobody", "{allow: {logins: [other], node_labels: {env: prod}}}")

	tests := []struct {
		bot, login    string
		prod, staging bool
	}{
		{"staging", "deploy", false, true},
		{"staging", "app", false, true}, // app is for the login deploy
		{"staging", "root", false, false},
		{"web", "deploy", true, true},
		{"db", "deploy", false, false}, // env alone is not enough
		{"more", "deploy", false, false},
		{"anywhere", "deploy", true, true},
		{"two", "app", true, true},     // by either role
		{"two", "deploy", true, false}, // ops is no login of deploy
		{"nobody", "other", false, false},
	}
	for _, tt := range tests {
		for name, want := range map[string]bool{"prod": tt.prod, "staging": tt.staging} {
			t.Run(fmt.Sprintf("%s as %s on %s", tt.bot, tt.login, name), func(t *testing.T) {
				t.Parallel()
				out, status := w.job(t, tt.bot, "ssh", tt.login+"@"+hosts[name].Addr(), "--", "whoami")
				switch {
				case want && (status != 0 || out != tt.login+"\n"):
					t.Errorf("status %d: %s", status, out)
				case !want && (status != 255 || !strings.Contains(out, fmt.Sprintf("does not log in %q", tt.login))):
					t.Errorf("status %d: %s", status, out)
				case !want && tt.login == "deploy" && !strings.Contains(out, "labels only"):
					t.Errorf("it does not say that labels decide: %s", out)
				}
			})
		}
	}
	t.Run("the login need not be said", func(t *testing.T) {
		t.Parallel()
		if out, status := w.job(t, "web", "ssh", hosts["prod"].Addr(), "--", "whoami"); status != 0 || out != "deploy\n" {
			t.Errorf("status %d: %s", status, out)
		}
	})
	t.Run("stock ssh", func(t *testing.T) {
		t.Parallel()
		stockSSH(t, w, hosts)
	})
}

// stockSSH logs in with OpenSSH by the files of a join, and looks at what was recorded.
func stockSSH(t *testing.T, w *world, hosts map[string]*host) {
	dir := filepath.Join(t.TempDir(), "id")
	out, status := w.job(t, "staging", "join", "identity", "--destination", dir)
	if status != 0 || !strings.Contains(out, "deploy@env=staging") || !strings.Contains(out, "ssh_config deploy@HOST") {
		t.Fatalf("status %d: %s", status, out)
	}
	for name, want := range map[string]int{"staging": 0, "prod": 255} {
		_, port, err := net.SplitHostPort(hosts[name].Addr())
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, status := run(t, exec.CommandContext(ctx, worldtest.Need(t, "ssh"), "-F", filepath.Join(dir, "ssh_config"), "-p", port, "deploy@127.0.0.1", "whoami"))
		if status != want {
			t.Errorf("%s: status %d, want %d: %s", name, status, want, out)
		}
	}
	var shown bytes.Buffer
	for id := range strings.FieldsSeq(w.Ctl("joins", "ls", "--token", "staging")) {
		if len(id) == len("01ARZ3NDEKTSV4RRFFQ69G5FAV") && strings.HasPrefix(id, "0") {
			shown.WriteString(w.Ctl("joins", "show", id))
			break
		}
	}
	if !strings.Contains(shown.String(), "deploy@env=staging") {
		t.Errorf("the record does not say on which hosts the login is good:\n%s", &shown)
	}
}

// What a host is no longer, it no longer lets in: labels, accounts, and the authority
// after a rotation, each by one more host setup and without a restart.
func TestSettingUpAgain(t *testing.T) {
	w := newWorld(t)
	w.bot(t, "prod", "{allow: {logins: [deploy], node_labels: {env: prod}}}")
	w.bot(t, "staging", "{allow: {logins: [deploy], node_labels: {env: staging}}}")
	h := w.newHost(t, []string{"deploy", "app"}, "--logins", "deploy", "--account", "app=deploy", "--labels", "env=prod")
	expect := func(bot, login string, want bool) {
		t.Helper()
		if out, status := w.job(t, bot, "ssh", login+"@"+h.Addr(), "--", "true"); (status == 0) != want {
			t.Errorf("%s as %s: status %d: %s", bot, login, status, out)
		}
	}
	expect("prod", "deploy", true)
	expect("prod", "app", true)
	expect("staging", "deploy", false)

	out := h.setup(t, w, "--logins", "deploy", "--labels", "env=staging")
	for _, line := range []string{"updated    /etc/ssh/gatepass/principals/deploy", "removed    /etc/ssh/gatepass/principals/app", "unchanged  /etc/ssh/sshd_config.d/10-gatepass.conf"} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("it does not say %q:\n%s", line, out)
		}
	}
	expect("prod", "deploy", false)
	expect("prod", "app", false)
	expect("staging", "deploy", true)

	other := worldtest.StartServe(t, filepath.Join(t.TempDir(), "other")).Ctl("ca", "export", "--type", "ssh-user")
	h.setup(t, w, "--logins", "deploy", "--labels", "env=staging", "--authority", worldtest.Write(t, t.TempDir(), "other.pub", other))
	expect("staging", "deploy", false)
}
