package hosts

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// lay lays a folder over /etc/ssh, and over /run one where no sshd was started yet; both are
// gone when the command ends.
const lay = `set -e
mount --bind "$1" /etc/ssh
mount -t tmpfs -o mode=755 tmpfs /run
shift
exec "$@"`

// thisHost is this machine with an /etc/ssh of the test's own.
type thisHost struct {
	t         *testing.T
	etc       string
	authority string
}

// needRoot skips a test where there is no sshd, or the caller cannot set a host up.
func needRoot(t *testing.T) {
	t.Helper()
	worldtest.Need(t, "sshd")
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("these tests run as root")
		}
		t.Skip("skipped: only root can lay a folder over /etc/ssh")
	}
}

func newThisHost(t *testing.T) *thisHost {
	t.Helper()
	needRoot(t)
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

// script writes what host setup prints for root, the one account that every machine has, and
// returns its file.
func (h *thisHost) script(flags ...string) string {
	h.t.Helper()
	args := append([]string{"host", "setup", "--logins", "root", "--labels", "env=prod", "--authority", h.authority}, flags...)
	return worldtest.Write(h.t, h.t.TempDir(), "setup.sh", worldtest.Output(h.t, worldtest.Binary(h.t, "gatepassctl"), args...))
}

// setup runs it; args of the script come first, then flags of host setup.
func (h *thisHost) setup(args ...string) (output string, status int) {
	h.t.Helper()
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return h.run("sh", h.script(args[1:]...), args[0])
	}
	return h.run("sh", h.script(args...))
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
	h.expect(1, []string{"user_ca.pub: is missing", "10-gatepass.conf: is missing", "run this without check"}, "check")
	h.expect(0, []string{"created    /etc/ssh/gatepass/principals/root", "now reload sshd: systemctl reload ssh"})
	h.expect(0, []string{"ok: certificates are let in for root"}, "check")
	h.expect(0, []string{"unchanged  /etc/ssh/sshd_config.d/10-gatepass.conf", "nothing to do: the host is set up already"})

	t.Run("what sshd makes of all files together", func(t *testing.T) {
		h.write("sshd_config.d/00-other.conf", "PubkeyAuthentication no\nCASignatureAlgorithms ssh-ed25519\n")
		h.expect(1, []string{"sshd, for root: PubkeyAuthentication: is no", "sshd, for root: casignaturealgorithms: lacks ecdsa-sha2-nistp256"}, "check")
		h.write("sshd_config.d/00-other.conf", "Match User root\nPubkeyAuthentication no\n")
		h.expect(1, []string{"sshd, for root: PubkeyAuthentication: is no"}, "check")
		must(t, os.Remove(filepath.Join(h.etc, "sshd_config.d/00-other.conf")))
	})
	t.Run("who is let in, certificate or not", func(t *testing.T) {
		h.write("more", "AllowUsers admin\nAuthenticationMethods publickey,password\n")
		h.write("sshd_config.d/00-other.conf", "Include more\n")
		h.expect(1, []string{"sshd, for root: AllowUsers: is admin, which the account is not among", "sshd, for root: AuthenticationMethods: is publickey,password"}, "check")
		h.write("more", "AllowGroups no-such ro?t\n")
		h.expect(0, []string{"ok: "}, "check")
		h.write("more", "PermitRootLogin no\nDenyGroups root\n")
		h.expect(1, []string{"sshd, for root: PermitRootLogin: is no", "sshd, for root: DenyGroups: is root"}, "check")
		h.write("more", "Match Address 198.51.100.0/24\nAuthorizedPrincipalsFile /etc/ssh/everybody\n")
		h.expect(1, []string{"/etc/ssh/more:2: authorizedprincipalsfile /etc/ssh/everybody: sets what"}, "check")
		h.expect(1, []string{"/etc/ssh/more:2: authorizedprincipalsfile /etc/ssh/everybody", "nothing was changed"})
		must(t, os.Remove(filepath.Join(h.etc, "sshd_config.d/00-other.conf")))
	})
	t.Run("a configuration that sshd refuses already", func(t *testing.T) {
		h.write("sshd_config.d/99-other.conf", "NoSuchKeyword yes\n")
		before, err := os.ReadFile(filepath.Join(h.etc, "gatepass/principals/root"))
		must(t, err)
		h.expect(1, []string{"sshd refuses its configuration, and did so before", "NoSuchKeyword", "hint: fix that first"}, "--labels", "env=staging")
		after, err := os.ReadFile(filepath.Join(h.etc, "gatepass/principals/root"))
		must(t, err)
		if string(before) != string(after) {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
		h.expect(1, []string{"sshd -t: ", "NoSuchKeyword"}, "check")
		must(t, os.Remove(filepath.Join(h.etc, "sshd_config.d/99-other.conf")))
	})
	t.Run("sshd that does not run", func(t *testing.T) {
		h.expect(0, []string{"no sshd runs here that would have to be reloaded"}, "reload", "--revoked-keys")
		h.expect(0, []string{"ok: "}, "check", "--revoked-keys")
	})
	t.Run("sshd_config that does not include anything", func(t *testing.T) {
		h.write("sshd_config", "PermitRootLogin prohibit-password\n")
		h.expect(0, []string{"updated    /etc/ssh/sshd_config\n", "removed    /etc/ssh/sshd_config.d/10-gatepass.conf"})
		h.expect(0, []string{"ok: "}, "check")
		h.write("sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin prohibit-password\n")
		h.expect(0, []string{"created    /etc/ssh/sshd_config.d/10-gatepass.conf"})
	})
	t.Run("files in the way", func(t *testing.T) {
		h.write("gatepass/principals/root", "deploy\n")
		h.expect(1, []string{"principals/root: not written by gatepassctl host setup", "hint: see to these"})
		must(t, os.Remove(filepath.Join(h.etc, "gatepass/principals/root")))
	})
	t.Run("pasted into a shell", func(t *testing.T) {
		script, err := os.ReadFile(h.script())
		must(t, err)
		cmd := []string{"sh", "-c", `sh -s <<'PASTED'` + "\n" + string(script) + "echo goes on\nPASTED\n"}
		if out, _ := h.run(cmd...); !strings.Contains(out, "created    /etc/ssh/gatepass/principals/root") || !strings.HasSuffix(out, "goes on\n") {
			t.Errorf("%s", out)
		}
	})
}

// Nobody may come to believe that a host is set up whose sshd still goes by what it read before.
func TestSshdThatHasNotReadIt(t *testing.T) {
	h := newThisHost(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	address := free.Addr().String()
	must(t, free.Close())
	out, status := h.run("sh", "-c", `
mkdir -m 755 /run/sshd
trap 'kill $(cat /run/sshd.pid)' EXIT
$(command -v sshd) -o ListenAddress=`+address+`
wait_for() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 100 ] || exit 9; sleep 0.1; done; }
wait_for test -s /run/sshd.pid
sleep 0.1
setup="sh `+h.script()+`"
for i in 1 2; do echo "apply $i"; $setup; done
$setup check
echo reloaded
$setup reload
wait_for test /run/sshd.pid -nt /etc/ssh/sshd_config.d/10-gatepass.conf
$setup check
$setup
`)
	before, after, _ := strings.Cut(out, "reloaded\n")
	if status != 0 || strings.Count(before, "now reload sshd: ") != 2 || strings.Contains(before, "nothing to do") ||
		!strings.Contains(before, "wrong    sshd: has not read /etc/ssh/sshd_config.d/10-gatepass.conf since it was written") {
		t.Errorf("before it is reloaded, status %d:\n%s", status, before)
	}
	if !strings.Contains(after, "reloaded   sshd\n") || !strings.Contains(after, "ok: certificates are let in for root") || !strings.Contains(after, "nothing to do") {
		t.Errorf("after it is reloaded:\n%s", after)
	}
}

// A disk that is full leaves all as it was, and nothing half written beside it.
func TestFullDisk(t *testing.T) {
	h := newThisHost(t)
	out, status := h.run("sh", "-c", `set -e
mkdir -p /etc/ssh/gatepass
mount -t tmpfs -o size=64k,mode=755 tmpfs /etc/ssh/gatepass
sh `+h.script()+`
for room in 0 1 2; do
  dd if=/dev/zero of=/etc/ssh/gatepass/fill bs=4096 2>/dev/null || :
  size=$(stat -c %s /etc/ssh/gatepass/fill)
  truncate -s $((size - room * 4096)) /etc/ssh/gatepass/fill
  cp -r /etc/ssh/gatepass /run/before$room
  if sh `+h.script("--labels", "env=staging", "--account", "daemon=root", "--account", "bin=root")+`; then exit 8; fi
  diff -r /run/before$room /etc/ssh/gatepass
  rm /etc/ssh/gatepass/fill
done
`)
	if status != 0 || strings.Count(out, "writing failed; nothing was changed") != 3 || strings.Count(out, "No space left on device") < 3 {
		t.Errorf("status %d:\n%s", status, out)
	}
}

// Killed at any moment, each file is the old or the new one, and the next run mends the rest.
func TestSetupKilled(t *testing.T) {
	h := newThisHost(t)
	out, status := h.run("sh", "-c", `set -e
prod=`+h.script()+` staging=`+h.script("--labels", "env=staging")+`
for env in prod staging; do
  eval "sh \$$env" > /dev/null
  cp -r /etc/ssh/gatepass /run/$env
done
for delay in 02 04 06 08 10 12 14 16 18 20 25 30 40; do
  for env in prod staging; do
    eval "timeout -s KILL 0.$delay sh \$$env" > /dev/null || :
    cmp /etc/ssh/gatepass/user_ca.pub /run/prod/user_ca.pub
    cmp -s /etc/ssh/gatepass/principals/root /run/prod/principals/root || cmp /etc/ssh/gatepass/principals/root /run/staging/principals/root
  done
done
sh $prod > /dev/null
diff -r /etc/ssh/gatepass /run/prod
sh $prod check
ls -A /etc/ssh/sshd_config.d
`)
	if status != 0 || !strings.Contains(out, "ok: certificates are let in for root") || strings.Contains(out, ".gatepass-") {
		t.Errorf("status %d:\n%s", status, out)
	}
}
