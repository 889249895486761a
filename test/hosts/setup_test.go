package hosts

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// lay lays a folder over /etc/ssh and gives sshd what it needs to test itself; all of
// it is gone when the command ends.
const lay = `set -e
mount --bind "$1" /etc/ssh
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
shift
exec "$@"`

// thisHost is this machine with an /etc/ssh of the test's own.
type thisHost struct {
	t         *testing.T
	etc       string
	authority string
}

func newThisHost(t *testing.T) *thisHost {
	t.Helper()
	worldtest.Need(t, "sshd")
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("these tests run as root")
		}
		t.Skip("skipped: only root can lay a folder over /etc/ssh")
	}
	h := &thisHost{t: t, etc: filepath.Join(t.TempDir(), "ssh")}
	must(t, os.MkdirAll(filepath.Join(h.etc, "sshd_config.d"), 0o755))
	h.write("sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin prohibit-password\n")
	worldtest.Output(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(h.etc, "ssh_host_ed25519_key"))
	authority := filepath.Join(t.TempDir(), "ca")
	worldtest.Output(t, "ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", authority)
	h.authority = authority + ".pub"
	return h
}

func (h *thisHost) write(name, text string) {
	h.t.Helper()
	must(h.t, os.WriteFile(filepath.Join(h.etc, name), []byte(text), 0o644))
}

// run runs a command on the host.
func (h *thisHost) run(args ...string) (output string, status int) {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), worldtest.Need(h.t, "unshare"), append([]string{"--mount", "--propagation", "private", "sh", "-c", lay, "lay", h.etc}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return run(h.t, cmd)
}

// setup runs host setup for root, the one account that every machine has.
func (h *thisHost) setup(flags ...string) (output string, status int) {
	h.t.Helper()
	return h.run(append([]string{worldtest.Binary(h.t, "gatepassctl"), "host", "setup", "--logins", "root", "--labels", "env=prod", "--authority", h.authority}, flags...)...)
}

func (h *thisHost) expect(status int, parts []string, flags ...string) {
	h.t.Helper()
	out, got := h.setup(flags...)
	if got != status {
		h.t.Errorf("%s: status %d, want %d:\n%s", strings.Join(flags, " "), got, status, out)
	}
	for _, part := range parts {
		if !strings.Contains(out, part) {
			h.t.Errorf("%s does not say %q:\n%s", strings.Join(flags, " "), part, out)
		}
	}
}

// TestSettingUpThisHost has the machine's own sshd judge what is written.
func TestSettingUpThisHost(t *testing.T) {
	h := newThisHost(t)
	h.expect(1, []string{"user_ca.pub: is missing", "10-gatepass.conf: is missing", "run gatepassctl host setup --apply"}, "--check")
	h.expect(0, []string{"created    /etc/ssh/gatepass/principals/root", "now reload sshd: systemctl reload ssh"}, "--apply")
	h.expect(0, []string{"ok: certificates are let in for root"}, "--check")
	h.expect(0, []string{"unchanged  /etc/ssh/sshd_config.d/10-gatepass.conf", "nothing to do: the host is set up already"}, "--apply")

	t.Run("JSON", func(t *testing.T) {
		out, _ := h.setup("--check", "--format", "json")
		var checked struct {
			OK       bool
			Findings []any
		}
		if err := json.Unmarshal([]byte(out), &checked); err != nil || !checked.OK {
			t.Errorf("%v: %s", err, out)
		}
		out, _ = h.setup("--apply", "--format", "json")
		var applied struct {
			Changes []struct{ Path, Change string }
			Reload  string
		}
		if err := json.Unmarshal([]byte(out), &applied); err != nil || len(applied.Changes) != 3 || applied.Reload != "" {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("what sshd makes of all files together", func(t *testing.T) {
		h.write("sshd_config.d/00-other.conf", "PubkeyAuthentication no\nCASignatureAlgorithms ssh-ed25519\n")
		h.expect(1, []string{"sshd, for root: PubkeyAuthentication: is no", "sshd, for root: casignaturealgorithms: lacks ecdsa-sha2-nistp256"}, "--check")
		h.write("sshd_config.d/00-other.conf", "Match User root\nPubkeyAuthentication no\n")
		h.expect(1, []string{"sshd, for root: PubkeyAuthentication: is no"}, "--check")
		must(t, os.Remove(filepath.Join(h.etc, "sshd_config.d/00-other.conf")))
	})
	t.Run("who is let in, certificate or not", func(t *testing.T) {
		h.write("more", "AllowUsers admin\nAuthenticationMethods publickey,password\n")
		h.write("sshd_config.d/00-other.conf", "Include more\n")
		h.expect(1, []string{"sshd, for root: AllowUsers: is admin, which the account is not among", "sshd, for root: AuthenticationMethods: is publickey,password"}, "--check")
		h.write("more", "AllowGroups no-such ro?t\n")
		h.expect(0, []string{"ok: "}, "--check")
		h.write("more", "PermitRootLogin no\nDenyGroups root\n")
		h.expect(1, []string{"sshd, for root: PermitRootLogin: is no", "sshd, for root: DenyGroups: is root"}, "--check")
		h.write("more", "Match Address 198.51.100.0/24\nAuthorizedPrincipalsFile /etc/ssh/everybody\n")
		h.expect(1, []string{"/etc/ssh/more:2: authorizedprincipalsfile /etc/ssh/everybody: sets what"}, "--check")
		h.expect(1, []string{"/etc/ssh/more:2: authorizedprincipalsfile /etc/ssh/everybody", "nothing was changed"}, "--apply")
		must(t, os.Remove(filepath.Join(h.etc, "sshd_config.d/00-other.conf")))
	})
	t.Run("a configuration that sshd refuses already", func(t *testing.T) {
		h.write("sshd_config.d/99-other.conf", "NoSuchKeyword yes\n")
		before, err := os.ReadFile(filepath.Join(h.etc, "gatepass/principals/root"))
		must(t, err)
		h.expect(1, []string{"sshd refuses its configuration, and did so before", "NoSuchKeyword", "hint: mend that first"}, "--apply", "--labels", "env=staging")
		after, err := os.ReadFile(filepath.Join(h.etc, "gatepass/principals/root"))
		must(t, err)
		if string(before) != string(after) {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
		h.expect(1, []string{"sshd -T: ", "NoSuchKeyword"}, "--check")
		must(t, os.Remove(filepath.Join(h.etc, "sshd_config.d/99-other.conf")))
	})
	t.Run("sshd that does not run", func(t *testing.T) {
		h.expect(1, []string{"everything is written, but sshd was not reloaded", "hint: reload it by hand"}, "--apply", "--reload", "--revoked-keys")
		h.expect(0, []string{"ok: "}, "--check", "--revoked-keys")
	})
	t.Run("files in the way", func(t *testing.T) {
		h.write("gatepass/principals/root", "deploy\n")
		h.expect(1, []string{"principals/root: not written by gatepassctl host setup", "hint: move these files away"}, "--apply")
		must(t, os.Remove(filepath.Join(h.etc, "gatepass/principals/root")))
	})
}

// setupLine is host setup as a line for a shell; its arguments follow.
func (h *thisHost) setupLine() string {
	return worldtest.Binary(h.t, "gatepassctl") + " host setup --logins root --authority " + h.authority
}

// Nobody may come to believe that a host is set up whose sshd still goes by what it read before.
func TestSshdThatHasNotReadIt(t *testing.T) {
	h := newThisHost(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := free.Addr().String()
	must(t, free.Close())
	out, status := h.run("sh", "-c", `
trap 'kill $(cat /run/sshd.pid)' EXIT
$(command -v sshd) -o ListenAddress=`+address+`
wait_for() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 100 ] || exit 9; sleep 0.1; done; }
wait_for test -s /run/sshd.pid
setup="`+h.setupLine()+`"
for i in 1 2; do echo "apply $i"; $setup --apply; done
$setup --check
old=$(cat /run/sshd.pid)
kill -HUP $old
wait_for test /run/sshd.pid -nt /etc/ssh/sshd_config.d/10-gatepass.conf
echo reloaded
$setup --check
$setup --apply
`)
	before, after, _ := strings.Cut(out, "reloaded\n")
	if status != 0 || strings.Count(before, "now reload sshd: ") != 2 || strings.Contains(before, "nothing to do") ||
		!strings.Contains(before, "wrong    sshd: has not read /etc/ssh/sshd_config.d/10-gatepass.conf since it was written") {
		t.Errorf("before it is reloaded, status %d:\n%s", status, before)
	}
	if !strings.Contains(after, "ok: certificates are let in for root") || !strings.Contains(after, "nothing to do") {
		t.Errorf("after it is reloaded:\n%s", after)
	}
}

// A disk that is full leaves all as it was, and nothing half written beside it.
func TestFullDisk(t *testing.T) {
	h := newThisHost(t)
	out, status := h.run("sh", "-c", `set -e
mkdir -p /etc/ssh/gatepass
mount -t tmpfs -o size=64k,mode=755 tmpfs /etc/ssh/gatepass
setup="`+h.setupLine()+`"
$setup --labels env=prod --apply
for room in 0 1 2; do
  dd if=/dev/zero of=/etc/ssh/gatepass/fill bs=4096 2>/dev/null || :
  size=$(stat -c %s /etc/ssh/gatepass/fill)
  truncate -s $((size - room * 4096)) /etc/ssh/gatepass/fill
  cp -r /etc/ssh/gatepass /run/before$room
  if $setup --labels env=staging --account daemon=root --account bin=root --apply; then exit 8; fi
  diff -r /run/before$room /etc/ssh/gatepass
  rm /etc/ssh/gatepass/fill
done
`)
	if status != 0 || strings.Count(out, "no space left on device") != 3 {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// Killed at any moment, each file is the old or the new one, and the next run mends the rest.
func TestSetupKilled(t *testing.T) {
	h := newThisHost(t)
	out, status := h.run("sh", "-c", `set -e
setup="`+h.setupLine()+`"
for env in prod staging; do
  $setup --labels env=$env --apply > /dev/null
  cp -r /etc/ssh/gatepass /run/$env
done
for delay in 01 02 03 04 05 06 08 10 12 15 20; do
  for env in prod staging; do
    timeout -s KILL 0.$delay $setup --labels env=$env --apply > /dev/null || :
    cmp /etc/ssh/gatepass/user_ca.pub /run/prod/user_ca.pub
    cmp -s /etc/ssh/gatepass/principals/root /run/prod/principals/root || cmp /etc/ssh/gatepass/principals/root /run/staging/principals/root
  done
done
$setup --labels env=prod --apply > /dev/null
diff -r /etc/ssh/gatepass /run/prod
$setup --labels env=prod --check
ls -A /etc/ssh/sshd_config.d
`)
	if status != 0 || !strings.Contains(out, "ok: certificates are let in for root") || strings.Contains(out, ".gatepass-") {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// The script that is printed does it as well, on a host that has no gatepassctl.
func TestScriptOnThisHost(t *testing.T) {
	h := newThisHost(t)
	script, status := h.setup("--revoked-keys")
	if status != 0 {
		t.Fatal(script)
	}
	for range 2 {
		if out, status := h.run("sh", "-c", script); status != 0 || !strings.Contains(out, "done; now reload sshd") {
			t.Fatalf("status %d:\n%s", status, out)
		}
		h.expect(0, []string{"ok: "}, "--check", "--revoked-keys")
	}
	h.write("sshd_config", "NoSuchKeyword yes\nInclude /etc/ssh/sshd_config.d/*.conf\n")
	if out, status := h.run("sh", "-c", script); status == 0 || !strings.Contains(out, "NoSuchKeyword") || strings.Contains(out, "done") {
		t.Errorf("where sshd refuses: status %d:\n%s", status, out)
	}
	if shellcheck, err := exec.LookPath("shellcheck"); err == nil {
		worldtest.Output(t, shellcheck, worldtest.Write(t, t.TempDir(), "setup.sh", script))
	}
}
