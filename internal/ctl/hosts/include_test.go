package hosts_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// oldSshd is the machine's real sshd behind one that refuses what OpenSSH 8.0 refuses (RHEL 8;
// Debian 10 and Amazon Linux 2 have older ones): Include, and keywords that came later. It says
// it in its words, and what it goes by in its names.
const oldSshd = `config=/etc/ssh/sshd_config
[ "$1" != -f ] || config=$2
line=$(grep -niE '^[[:space:]]*(Include|PubkeyAcceptedAlgorithms|RequiredRSASize|UnusedConnectionTimeout)([[:space:]]|=)' "$config" | head -n 1)
if [ -n "$line" ]; then
  keyword=$(printf '%%s\n' "${line#*:}" | sed 's/^[[:space:]]*//; s/[[:space:]=].*//')
  printf '%%s: line %%s: Bad configuration option: %%s\r\n%%s: terminating, 1 bad configuration options\r\n' "$config" "${line%%%%:*}" "$keyword" "$config" >&2
  exit 255
fi
said=$(%s "$@") || exit
printf '%%s\n' "$said" | sed 's/^pubkeyacceptedalgorithms /pubkeyacceptedkeytypes /'`

const (
	begin  = "# BEGIN gatepassctl host setup; changes made here are lost\n"
	end    = "# END gatepassctl host setup\n"
	fedora = "# of the distribution\nSyslogFacility AUTHPRIV\nUsePAM yes\nMatch User x\n\tX11Forwarding no\n"
)

func ours(more string) string {
	return begin + "TrustedUserCAKeys " + hosts.AuthorityFile + "\nAuthorizedPrincipalsFile " + hosts.PrincipalsDir + "/%u\n" + more + end
}

// newOldMachine has an sshd before 8.2, and an sshd_config as that comes with it.
func newOldMachine(t *testing.T, m *machine) {
	t.Helper()
	m.sshd(fmt.Sprintf(oldSshd, worldtest.Need(t, "sshd")))
	must(t, os.Remove(m.path("/etc/ssh/sshd_config.d")))
	m.write(sshdConfig, fedora)
	must(t, os.Chmod(m.path(sshdConfig), 0o600))
	worldtest.Output(t, worldtest.Need(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", m.path("/etc/ssh/ssh_host_ed25519_key"))
}

// An sshd before 8.2 knows no Include: nothing is written or advised that it refuses, and it
// goes by the lines at the top of sshd_config.
func TestSshdBeforeInclude(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		newOldMachine(t, m)
		h := prod(t)
		if found := m.found(h); !strings.Contains(strings.Join(found, "\n"), "sshd_config: does not have the lines that host setup writes at its top") {
			t.Errorf("before it, check finds %q", found)
		}
		done := m.apply(h)
		if text := m.read(sshdConfig); done[sshdConfig] != "updated" || text != ours("")+fedora {
			t.Errorf("%v; sshd_config is\n%s", done, text)
		}
		if info, err := os.Stat(m.path(sshdConfig)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("its mode is not what it was: %v, %v", info.Mode(), err)
		}
		if _, err := os.Stat(m.path(hosts.ConfigFile)); err == nil {
			t.Error("a file was written that this sshd does not read")
		}
		if found := m.found(h); len(found) > 0 {
			t.Errorf("after it, check finds %q", found)
		}
		before := m.snapshot()
		if done := m.apply(h); done[sshdConfig] != "unchanged" {
			t.Errorf("again: %v", done)
		}
		if diff := cmp.Diff(before, m.snapshot()); diff != "" {
			t.Errorf("again, -before +after:\n%s", diff)
		}

		// Further lines replace the ones that are there, and leave what a person wrote meanwhile.
		m.write(sshdConfig, "Port 22\n"+m.read(sshdConfig)+"ClientAliveInterval 9\n")
		h.RevokedKeys = true
		m.apply(h)
		if got, want := m.read(sshdConfig), ours("RevokedKeys "+hosts.RevokedKeysFile+"\n")+"Port 22\n"+fedora+"ClientAliveInterval 9\n"; got != want {
			t.Errorf("sshd_config is\n%s\nwant\n%s", got, want)
		}
	})
}

// An administrator who was once told to write Include is told to remove it.
func TestIncludeOnAnSshdThatDoesNotKnowIt(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		newOldMachine(t, m)
		must(t, os.Mkdir(m.path("/etc/ssh/sshd_config.d"), 0o755))
		m.write(sshdConfig, include+fedora)
		before := m.contents()
		out, status := m.setup(prod(t))
		if status != 1 || !strings.Contains(out, "Bad configuration option: Include") || !strings.Contains(out, "hint: this sshd is older than 8.2 and knows no Include: remove that line") {
			t.Errorf("status %d:\n%s", status, out)
		}
		if diff := cmp.Diff(before, m.contents()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
		out, _ = m.setup(prod(t), "check")
		if !strings.Contains(out, "this sshd is older than 8.2") || strings.Contains(out, "Include /etc/ssh/sshd_config.d") {
			t.Errorf("check:\n%s", out)
		}
		m.write(sshdConfig, fedora)
		m.apply(prod(t))
	})
}

// Lines of sshd_config that sshd refuses are not left there.
func TestRefusedLinesAreTakenBack(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		newOldMachine(t, m)
		m.sshd(`if grep -q ^TrustedUserCAKeys /etc/ssh/sshd_config; then printf '/etc/ssh/sshd_config: line 2: Bad configuration option: TrustedUserCAKeys\r\n' >&2; exit 255; fi`)
		must(t, os.Chtimes(m.path(sshdConfig), time.Time{}, time.Unix(1700000000, 0)))
		before := m.snapshot()
		if out, status := m.setup(prod(t)); status != 1 || !strings.Contains(out, "Bad configuration option: TrustedUserCAKeys") || !strings.Contains(out, "everything is as before") {
			t.Errorf("status %d:\n%s", status, out)
		}
		if diff := cmp.Diff(before, m.snapshot()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	})
}

// The lines go where sshd reads them first, and are in one place: when the system is upgraded to
// an sshd_config that includes sshd_config.d, and when somebody takes that out.
func TestWhereTheLinesAre(t *testing.T) {
	all := shells(t)
	for i, without := range []string{
		"UsePAM yes\n#" + include,
		"Match User x\n" + include,
		"Include /etc/ssh/sshd_config.d/99-*.conf\n",
		"Include /etc/ssh/*.conf\n",
		"Include /etc/*/*/10-gatepass.conf/*\n",
		"UsePAM yes", // which does not even end
	} {
		t.Run(without, func(t *testing.T) {
			t.Parallel()
			m, h := newMachine(t, all[i%len(all)]), prod(t)
			m.write(sshdConfig, without)
			m.apply(h)
			if got, want := m.read(sshdConfig), ours("")+strings.TrimSuffix(without, "\n")+"\n"; got != want {
				t.Errorf("sshd_config is\n%s\nwant\n%s", got, want)
			}
			same(t, m.found(h), nil)

			for _, with := range []string{include, "Include \"/etc/ssh/x\" sshd_config.d/*-gatepass.[a-c]onf\n"} {
				m.write(sshdConfig, ours("")+with+without)
				if found := m.found(h); len(found) < 2 || !strings.Contains(found[0], "10-gatepass.conf: is missing") || !strings.Contains(found[1], "sshd_config: has lines of host setup") {
					t.Errorf("check finds %q", found)
				}
				done := m.apply(h)
				if got, want := m.read(sshdConfig), with+strings.TrimSuffix(without, "\n")+"\n"; got != want || done[sshdConfig] != "updated" || done[hosts.ConfigFile] != "created" {
					t.Errorf("%v; sshd_config is\n%s\nwant\n%s", done, got, want)
				}
				same(t, m.found(h), nil)
				m.write(sshdConfig, without)
				if done := m.apply(h); done[hosts.ConfigFile] != "removed" || done[sshdConfig] != "updated" {
					t.Errorf("%v", done)
				}
				same(t, m.found(h), nil)
			}
		})
	}
}
