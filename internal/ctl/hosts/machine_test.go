package hosts_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return signer
}

func line(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

func prod(t testing.TB) *hosts.Host {
	return &hosts.Host{
		Labels:    map[string]string{"env": "prod", "tier": "web"},
		Accounts:  map[string][]string{"deploy": {"deploy"}, "app": {"ops", "deploy"}},
		Authority: line(newSigner(t).PublicKey()),
	}
}

// Where the files of a host are that hosts does not name.
const (
	sshdConfig = "/etc/ssh/sshd_config"
	include    = "Include /etc/ssh/sshd_config.d/*.conf\n"
)

// A shell is what a script is run by, with the tools that come with it.
type shell struct {
	name    string
	command []string
	tools   string // the folder of these tools
}

// shells are Debian's, bash with GNU's tools, and busybox with its own, as on Alpine.
func shells(t testing.TB) []shell {
	t.Helper()
	worldtest.Need(t, "dash")
	busybox, tools := worldtest.Need(t, "busybox"), t.TempDir()
	out, err := exec.CommandContext(t.Context(), busybox, "--install", "-s", tools).CombinedOutput()
	if err != nil {
		t.Fatalf("busybox --install: %v: %s", err, out)
	}
	return []shell{
		{name: "dash", command: []string{"dash"}, tools: "/usr/bin"},
		{name: "bash", command: []string{worldtest.Need(t, "bash"), "--posix"}, tools: "/usr/bin"},
		{name: "busybox", command: []string{busybox, "sh"}, tools: tools},
	}
}

// machine is a host with an /etc of its own, and an sshd that says what a test has it say.
type machine struct {
	t     testing.TB
	top   string
	shell shell
	bare  bool // it has no tools but those of the shell
}

// effective is what sshd -T says of a host that is set up.
const effective = "port 22\npubkeyauthentication yes\ntrustedusercakeys " + hosts.AuthorityFile +
	"\nauthorizedprincipalsfile " + hosts.PrincipalsDir + "/%u\nauthorizedprincipalscommand none\n" +
	"casignaturealgorithms ssh-ed25519,ecdsa-sha2-nistp256\npubkeyacceptedalgorithms ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-ed25519\n" +
	"hostkey /etc/ssh/key\nhostcertificate /etc/ssh/key-cert.pub\nusepam yes\n"

// newMachine returns a machine with an /etc/ssh as Debian installs it.
func newMachine(t testing.TB, s shell) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("these tests run as root")
		}
		t.Skip("skipped: only root can lay a folder over /etc")
	}
	m := &machine{t: t, top: t.TempDir(), shell: s}
	m.write(sshdConfig, "# comment\n"+include+"UsePAM yes\n")
	must(t, os.Mkdir(m.path("/etc/ssh/sshd_config.d"), 0o755))
	m.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nsshd:x:100:100::/run/sshd:/usr/sbin/nologin\napp:x:1001:1001::/home/app:/bin/sh\ndeploy:x:1002:1002::/home/deploy:/bin/sh\n")
	m.write("/etc/shadow", "root:*:1::::::\napp:*:1::::::\ndeploy:*:1::::::\n")
	m.write("/etc/group", "root:x:0:\nusers:x:1001:\nothers:x:1002:\n")
	m.write("/said", effective)
	m.sshd(`case $1 in -t) ;; *) cat "$top/said" ;; esac`)
	return m
}

// sshd gives the machine an sshd; $top is where the machine is.
func (m *machine) sshd(body string) {
	m.t.Helper()
	m.write("/bin/sshd", "#!/bin/sh\ntop="+m.top+"\n"+body+"\n")
	must(m.t, os.Chmod(m.path("/bin/sshd"), 0o755))
}

// refuses has sshd refuse any configuration while a file is there.
func (m *machine) refuses(name string) {
	m.t.Helper()
	m.sshd(`case $1 in -t) [ ! -e ` + name + ` ] || { printf '%s line 2: bad configuration\r\n' ` + name + ` >&2; exit 255; } ;; *) cat "$top/said" ;; esac`)
}

// says changes what sshd -T says.
func (m *machine) says(changes ...string) {
	m.t.Helper()
	m.write("/said", strings.NewReplacer(changes...).Replace(m.read("/said")))
}

// lay lays a folder over /etc, all but what the machine's programs need of it; all of that
// ends with the command. $top/run is the machine's /run.
const lay = `set -e
mkdir -p "$1/etc/alternatives" "$1/run"
mount --bind /etc/alternatives "$1/etc/alternatives"
mount --rbind "$1/etc" /etc
mount --bind "$1/run" /run
shift
exec env "$@"`

// run runs a command on the machine.
func (m *machine) run(args ...string) (output string, status int) {
	m.t.Helper()
	path := m.path("/bin") + ":" + m.shell.tools
	if !m.bare {
		path += ":" + os.Getenv("PATH")
	}
	cmd := exec.CommandContext(m.t.Context(), worldtest.Need(m.t, "unshare"), append([]string{"--mount", "--propagation", "private", "sh", "-c", lay, "lay", m.top, "PATH=" + path}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that a test can interrupt it
	out, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		m.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// setup runs the script of a host.
func (m *machine) setup(h *hosts.Host, args ...string) (output string, status int) {
	m.t.Helper()
	script, err := h.Script()
	must(m.t, err)
	m.write("/setup", script)
	return m.run(append(append(m.shell.command[:len(m.shell.command):len(m.shell.command)], m.path("/setup")), args...)...)
}

// apply sets the machine up, which must succeed, and returns what was done, by path.
func (m *machine) apply(h *hosts.Host) map[string]string {
	m.t.Helper()
	out, status := m.setup(h)
	if status != 0 {
		m.t.Fatalf("status %d:\n%s", status, out)
	}
	done := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(f[1], "/") {
			done[f[1]] = f[0]
		}
	}
	return done
}

// found is what check finds, one line each.
func (m *machine) found(h *hosts.Host) (lines []string) {
	m.t.Helper()
	out, status := m.setup(h, "check")
	faults := false
	for line := range strings.Lines(out) {
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if word == "differs" || word == "wrong" || word == "warning" {
			lines = append(lines, strings.TrimLeft(rest, " "))
			faults = faults || word != "warning"
		}
	}
	if (status != 0) != faults || status > 1 || (len(lines) == 0) != strings.Contains(out, "ok: certificates are let in for ") {
		m.t.Errorf("check ends with %d:\n%s", status, out)
	}
	return lines
}

func (m *machine) path(name string) string { return filepath.Join(m.top, name) }

func (m *machine) write(name, text string) {
	m.t.Helper()
	// No matter what the umask is: sshd looks at these modes.
	must(m.t, os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	for dir := filepath.Dir(m.path(name)); len(dir) >= len(m.top); dir = filepath.Dir(dir) {
		must(m.t, os.Chmod(dir, 0o755))
	}
	must(m.t, os.WriteFile(m.path(name), []byte(text), 0o644))
	must(m.t, os.Chmod(m.path(name), 0o644))
}

func (m *machine) read(name string) string {
	m.t.Helper()
	data, err := os.ReadFile(m.path(name))
	must(m.t, err)
	return string(data)
}

// snapshot is every file below /etc with its mode and time, for comparisons.
func (m *machine) snapshot() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	must(m.t, filepath.WalkDir(m.path("/etc"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			all[strings.TrimPrefix(path, m.top)], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, m.top)] = info.Mode().String() + " " + info.ModTime().String() + "\n" + string(data)
		return err
	}))
	return all
}

// contents is the same without times, of which busybox's cp keeps the seconds alone.
func (m *machine) contents() map[string]string {
	m.t.Helper()
	all := m.snapshot()
	for name, text := range all {
		mode, _, _ := strings.Cut(text, " ")
		_, content, _ := strings.Cut(text, "\n")
		all[name] = mode + "\n" + content
	}
	return all
}

// onEach runs a test on a machine of each shell.
func onEach(t *testing.T, test func(*testing.T, *machine)) {
	t.Helper()
	for _, s := range shells(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, newMachine(t, s))
		})
	}
}
