package hosts

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// print has gatepassctl print what the host needs in another form, and returns that.
func (h *thisHost) print(flags ...string) string {
	h.t.Helper()
	args := append([]string{"host", "setup", "--logins", "root", "--labels", "env=prod", "--authority", h.authority}, flags...)
	return worldtest.Output(h.t, worldtest.Binary(h.t, "gatepassctl"), args...)
}

// TestCloudInitOnThisHost does what cloud-init does with the user data: it writes the files,
// and runs the commands.
func TestCloudInitOnThisHost(t *testing.T) {
	h := newThisHost(t)
	var config struct {
		Files []struct{ Path, Content string } `yaml:"write_files"`
		Run   [][]string                       `yaml:"runcmd"`
	}
	must(t, yaml.Unmarshal([]byte(h.print("--as", "cloud-init")), &config))
	zipped, err := base64.StdEncoding.DecodeString(config.Files[0].Content)
	must(t, err)
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	must(t, err)
	script, err := io.ReadAll(r)
	must(t, err)
	file := worldtest.Write(t, t.TempDir(), "script", string(script))
	command := strings.ReplaceAll(strings.Join(config.Run[0], " "), config.Files[0].Path, file)
	if out, status := h.run("sh", "-c", command); status != 0 || !strings.Contains(out, "created    /etc/ssh/sshd_config.d/10-gatepass.conf") {
		t.Errorf("status %d:\n%s", status, out)
	}
	h.expect(0, []string{"ok: "}, "check")
}

// TestRoleOnThisHost has Ansible run the role: what it would do, what it does, and that it then
// finds nothing to do.
func TestRoleOnThisHost(t *testing.T) {
	h := newThisHost(t)
	root, err := worldtest.Root()
	must(t, err)
	ansible := worldtest.Need(t, filepath.Join(root, ".tools/venv-ansible/bin/ansible-playbook"))
	dir := t.TempDir()
	role := filepath.Join(dir, "roles", "gatepass_host")
	h.print("--as", "ansible", "--output", role)
	playbook := worldtest.Write(t, dir, "site.yml", "- hosts: all\n  gather_facts: false\n  roles: [gatepass_host]\n")
	// What the role leaves in /usr/local/bin is in this copy of it alone.
	local := filepath.Join(dir, "local")
	worldtest.Output(t, "cp", "-a", "/usr/local/bin", local)
	play := func(flags ...string) string {
		t.Helper()
		args := append([]string{"env", "HOME=" + dir, "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=false", ansible,
			"-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=" + filepath.Join(root, ".tools/venv-ansible/bin/python"), "-e", "ansible_become=false"}, flags...)
		out, status := h.run(append([]string{"sh", "-c", `mount --bind "$1" /usr/local/bin; shift; exec "$@"`, "sh", local}, append(args, playbook)...)...)
		if status != 0 {
			t.Fatalf("%v: status %d:\n%s", flags, status, out)
		}
		return out
	}
	if out := play("--check"); !strings.Contains(out, "changed=2 ") {
		t.Errorf("what it would do:\n%s", out)
	}
	h.expect(1, []string{"user_ca.pub: is missing"}, "check")
	if out := play(); !strings.Contains(out, "changed=2 ") || !strings.Contains(out, "failed=0") {
		t.Errorf("the first run:\n%s", out)
	}
	h.expect(0, []string{"ok: "}, "check")
	if info, err := os.Stat(filepath.Join(local, "gatepass-host-setup")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the script that is left on the host: %v", err)
	}
	for _, flag := range []string{"--diff", "--check"} {
		if out := play(flag); !strings.Contains(out, "changed=0 ") {
			t.Errorf("once more, with %s:\n%s", flag, out)
		}
	}
	h.write("sshd_config.d/99-other.conf", "PermitRootLogin no\nDenyUsers root\n")
	h.print("--as", "ansible", "--output", role, "--labels", "env=staging")
	if out := play("--check"); !strings.Contains(out, "changed=2 ") || !strings.Contains(out, "sshd, for root: DenyUsers: is root, which keeps the account out") {
		t.Errorf("with other labels, what it would do:\n%s", out)
	}
}

// A role is written over one that was written before, and over nothing else.
func TestRoleOverOtherFiles(t *testing.T) {
	h := newThisHost(t)
	role := t.TempDir()
	for range 2 {
		if out := h.print("--as", "ansible", "-o", role); out != "wrote the role "+role+"\n" {
			t.Error(out)
		}
	}
	tasks := filepath.Join(role, "tasks", "main.yml")
	must(t, os.WriteFile(tasks, []byte("- debug:\n"), 0o644))
	out, status := h.run(worldtest.Binary(t, "gatepassctl"), "host", "setup", "--logins", "root", "--authority", h.authority, "--as", "ansible", "-o", role)
	if text, err := os.ReadFile(tasks); status != 1 || !strings.Contains(out, "main.yml: not written by gatepassctl host setup, and not overwritten") || string(text) != "- debug:\n" {
		t.Errorf("%v, status %d:\n%s", err, status, out)
	}
}
