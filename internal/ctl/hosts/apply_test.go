package hosts_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
)

func TestApply(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		h.RevokedKeys = true
		m.says("port 22\n", "revokedkeys "+hosts.RevokedKeysFile+"\n")
		want := map[string]string{
			hosts.AuthorityFile:             "created",
			hosts.PrincipalsDir + "/deploy": "created",
			hosts.PrincipalsDir + "/app":    "created",
			hosts.RevokedKeysFile:           "created",
			hosts.ConfigFile:                "created",
		}
		if diff := cmp.Diff(want, m.apply(h)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		files, err := h.Files()
		must(t, err)
		for _, f := range files {
			if diff := cmp.Diff(f.Content, m.read(f.Path)); diff != "" {
				t.Errorf("%s, -want +got:\n%s", f.Path, diff)
			}
		}
		if found := m.found(h); len(found) > 0 {
			t.Errorf("after it, check finds %q", found)
		}

		// Again, with keys revoked meanwhile: nothing changes, not even times.
		m.write(hosts.RevokedKeysFile, "revoked")
		before := m.snapshot()
		out, status := m.setup(h)
		if status != 0 || !strings.HasSuffix(out, "nothing to do: the host is set up already\n") || strings.Count(out, "unchanged ") != len(files) {
			t.Errorf("again, status %d:\n%s", status, out)
		}
		if diff := cmp.Diff(before, m.snapshot()); diff != "" {
			t.Errorf("again, -before +after:\n%s", diff)
		}
	})
}

// An account that is no longer listed, or a label that no longer holds, lets nobody in.
func TestApplyTakesAway(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		m.apply(h)
		delete(h.Accounts, "app")
		h.Labels = map[string]string{"env": "staging"}
		want := map[string]string{
			hosts.AuthorityFile:             "unchanged",
			hosts.PrincipalsDir + "/deploy": "updated",
			hosts.PrincipalsDir + "/app":    "removed",
			hosts.ConfigFile:                "unchanged",
		}
		if diff := cmp.Diff(want, m.apply(h)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if text := m.read(hosts.PrincipalsDir + "/deploy"); strings.Contains(text, "prod") || strings.Contains(text, "tier") {
			t.Errorf("the old labels still hold:\n%s", text)
		}
		if _, err := os.Stat(m.path(hosts.PrincipalsDir + "/app")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("app is still open: %v", err)
		}
		// Another's file is told of, and stays.
		m.write(hosts.PrincipalsDir+"/other", "root\n")
		out, status := m.setup(h)
		if status != 0 || !strings.Contains(out, "principals/other: lets into an account, and is not written by") || m.read(hosts.PrincipalsDir+"/other") != "root\n" {
			t.Errorf("another's file, status %d:\n%s", status, out)
		}
	})
}

func TestApplyMendsModes(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		m.apply(h)
		for _, change := range []func(string) error{
			func(name string) error { return os.Chmod(name, 0o666) },
			func(name string) error { return os.Chmod(name, 0o600) },
			func(name string) error { return os.Chown(name, 1001, 0) },
		} {
			must(t, change(m.path(hosts.PrincipalsDir+"/app")))
			if done := m.apply(h); done[hosts.PrincipalsDir+"/app"] != "updated" {
				t.Errorf("%v", done)
			}
			info, err := os.Stat(m.path(hosts.PrincipalsDir + "/app"))
			must(t, err)
			if found := m.found(h); info.Mode().Perm() != 0o644 || len(found) > 0 {
				t.Errorf("mode %v, check finds %q", info.Mode(), found)
			}
		}
	})
}

// What refuses, refuses before anything is written.
func TestApplyRefuses(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(m *machine, h *hosts.Host)
		want    string
	}{
		{"a config file that someone else wrote", func(m *machine, _ *hosts.Host) { m.write(hosts.ConfigFile, "UsePAM no\n") }, "10-gatepass.conf: not written by gatepassctl"},
		{"principals that someone else wrote", func(m *machine, _ *hosts.Host) { m.write(hosts.PrincipalsDir+"/app", "root\n") }, "principals/app: not written by gatepassctl"},
		{"an authority that someone else wrote", func(m *machine, _ *hosts.Host) { m.write(hosts.AuthorityFile, "ssh-ed25519 AAAA\n") }, "user_ca.pub: not written by gatepassctl"},
		{"principals that are a link", func(m *machine, _ *hosts.Host) {
			must(m.t, os.MkdirAll(m.path(hosts.PrincipalsDir), 0o755))
			must(m.t, os.Symlink("/etc/passwd", m.path(hosts.PrincipalsDir+"/app")))
		}, "principals/app is not a regular file"},
		{"revoked keys that are a link", func(m *machine, h *hosts.Host) {
			h.RevokedKeys = true
			must(m.t, os.MkdirAll(m.path(hosts.PrincipalsDir), 0o755))
			must(m.t, os.Symlink("/etc/nowhere", m.path(hosts.RevokedKeysFile)))
		}, "revoked.krl is not a regular file"},
		{"a folder that is a link out", func(m *machine, _ *hosts.Host) { must(m.t, os.Symlink("/tmp", m.path("/etc/ssh/gatepass"))) }, "/etc/ssh/gatepass is a link"},
		{"a folder of principals that is a link", func(m *machine, _ *hosts.Host) {
			must(m.t, os.Mkdir(m.path("/etc/ssh/gatepass"), 0o755))
			must(m.t, os.Symlink("..", m.path(hosts.PrincipalsDir)))
		}, "/etc/ssh/gatepass/principals is a link"},
		{"a folder where others can plant links", func(m *machine, _ *hosts.Host) {
			must(m.t, os.MkdirAll(m.path(hosts.PrincipalsDir), 0o755))
			must(m.t, os.Chmod(m.path(hosts.PrincipalsDir), 0o777))
		}, "/etc/ssh/gatepass/principals can be written by others"},
		{"a folder of another", func(m *machine, _ *hosts.Host) {
			must(m.t, os.MkdirAll(m.path(hosts.PrincipalsDir), 0o755))
			must(m.t, os.Chown(m.path("/etc/ssh/gatepass"), 1001, 0))
		}, "/etc/ssh/gatepass belongs to user 1001"},
		{"no configuration", func(m *machine, _ *hosts.Host) { must(m.t, os.Remove(m.path(sshdConfig))) }, "there is no /etc/ssh/sshd_config"},
		{"another authority", func(m *machine, _ *hosts.Host) {
			m.write(sshdConfig, include+"\ntrustedusercakeys /etc/ssh/other.pub\n")
		}, "/etc/ssh/sshd_config:3: trustedusercakeys /etc/ssh/other.pub"},
		{"another authority for some", func(m *machine, _ *hosts.Host) {
			m.write("/etc/ssh/sshd_config.d/99-x.conf", "Match User x\nTrustedUserCAKeys=/etc/ssh/other.pub\n")
		}, "99-x.conf:2"},
		{"no authority, which would come first", func(m *machine, _ *hosts.Host) {
			m.write("/etc/ssh/sshd_config.d/00-x.conf", "TrustedUserCAKeys none\n")
		}, "00-x.conf:1"},
		{"another authority in a file that is included", func(m *machine, _ *hosts.Host) {
			m.write(sshdConfig, "Include /etc/ssh/a*/*.conf\n"+include)
			m.write("/etc/ssh/ab/x.conf", "UsePAM yes\nTrustedUserCAKeys /etc/ssh/other.pub\n")
		}, "/etc/ssh/ab/x.conf:2"},
		{"another authority in the second of several patterns", func(m *machine, _ *hosts.Host) {
			m.write(sshdConfig, include+"Include no*.conf \"m*e.conf\" # x\n")
			m.write("/etc/ssh/more.conf", "TrustedUserCAKeys /etc/ssh/other.pub\n")
		}, "/etc/ssh/more.conf:1"},
		{"other principals for some, in a file included by one that is included", func(m *machine, _ *hosts.Host) {
			m.write("/etc/ssh/sshd_config.d/99-x.conf", "Match Address 10.0.0.0/8\nInclude more.conf\n")
			m.write("/etc/ssh/more.conf", "AuthorizedPrincipalsFile /etc/ssh/everybody\n")
		}, "/etc/ssh/more.conf:1"},
		{"another authority behind a link", func(m *machine, _ *hosts.Host) {
			m.write("/etc/share/x.conf", "TrustedUserCAKeys /etc/ssh/other.pub\n")
			must(m.t, os.Symlink("/etc/share/x.conf", m.path("/etc/ssh/sshd_config.d/x.conf")))
		}, "/etc/ssh/sshd_config.d/x.conf:1"},
		{"a file that includes itself", func(m *machine, _ *hosts.Host) {
			m.write("/etc/ssh/sshd_config.d/x.conf", include)
		}, "included deeper than sshd does"},
		{"principals of a command", func(m *machine, _ *hosts.Host) {
			m.write(sshdConfig, include+"AuthorizedPrincipalsCommand /bin/cat /x\n")
		}, "authorizedprincipalscommand"},
		{"other revoked keys", func(m *machine, h *hosts.Host) {
			h.RevokedKeys = true
			m.write(sshdConfig, include+"RevokedKeys /etc/ssh/revoked\n")
		}, "revokedkeys"},
		{"a host certificate that is not there", func(_ *machine, h *hosts.Host) {
			h.HostCertificates = []string{"/etc/ssh/ssh_host_ed25519_key-cert.pub"}
		}, "is not there; make it by gatepassctl host sign --write /etc/ssh/ssh_host_ed25519_key.pub"},
		{"sshd_config that is a link, where lines of it are needed", func(m *machine, _ *hosts.Host) {
			m.write("/etc/real", "UsePAM yes\n")
			must(m.t, os.Remove(m.path(sshdConfig)))
			must(m.t, os.Symlink("/etc/real", m.path(sshdConfig)))
		}, "TrustedUserCAKeys /etc/ssh/gatepass/user_ca.pub;"},
		{"lines of ours that do not end", func(m *machine, _ *hosts.Host) {
			m.write(sshdConfig, "# BEGIN gatepassctl host setup; changes made here are lost\nUsePAM yes\n")
		}, "and no line"},
	}
	all := shells(t)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, h := newMachine(t, all[i%len(all)]), prod(t)
			tt.prepare(m, h)
			before := m.snapshot()
			if out, status := m.setup(h); status != 1 || !strings.Contains(out, tt.want) || !strings.Contains(out, "error: ") {
				t.Errorf("status %d, want %s in:\n%s", status, tt.want, out)
			}
			if diff := cmp.Diff(before, m.snapshot()); diff != "" {
				t.Errorf("something was written, -before +after:\n%s", diff)
			}
		})
	}
}

// Lines that say the same, or nothing about it, are no reason to refuse.
func TestApplyBesideOtherSettings(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		m.write(sshdConfig, "Include sshd_config.d/*.conf\n# TrustedUserCAKeys /x\nTrustedUserCAKeys \""+hosts.AuthorityFile+"\" # ours\nRevokedKeys /etc/ssh/revoked\nAuthorizedPrincipalsCommand none\n")
		m.apply(prod(t))
	})
}

// A line that gives another authority is seen whatever stands above it, and however it is written.
func TestEveryOtherAuthorityIsSeen(t *testing.T) {
	all := shells(t)
	for i, above := range []string{"", "UsePAM yes\nSubsystem sftp internal-sftp\n", "Match User x\n  X11Forwarding no\nMatch all\n", "\"UsePAM\" \"yes\" # \"\n", "X=\"\n\n#\n=\n"} {
		t.Run(above, func(t *testing.T) {
			t.Parallel()
			m, h := newMachine(t, all[i%len(all)]), prod(t)
			for _, line := range []string{"TrustedUserCAKeys /x", "\ttrustedusercakeys=/x", "\"TrustedUserCAKeys\" \"/x\" # ours", "AuthorizedPrincipalsCommand /bin/x %u"} {
				m.write(sshdConfig, include+above+line+"\n")
				if out, status := m.setup(h); status != 1 || strings.Count(out, "sets what host setup has to set") != 1 {
					t.Errorf("%q: status %d:\n%s", line, status, out)
				}
			}
		})
	}
}

func TestApplyRollsBack(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		before := m.contents()
		m.refuses(hosts.ConfigFile)
		if out, status := m.setup(h); status != 1 || !strings.Contains(out, "line 2: bad configuration") || !strings.Contains(out, "everything is as before") {
			t.Fatalf("status %d:\n%s", status, out)
		}
		if diff := cmp.Diff(before, m.contents()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}

		// The same over what was there, with an account that is closed.
		m.refuses("/nowhere")
		m.apply(h)
		before = m.contents()
		other := prod(t)
		other.Accounts = map[string][]string{"new": {"deploy"}}
		m.refuses(hosts.PrincipalsDir + "/new")
		if out, status := m.setup(other); status != 1 || !strings.Contains(out, "everything is as before") {
			t.Errorf("status %d:\n%s", status, out)
		}
		if diff := cmp.Diff(before, m.contents()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}

		// What was wrong before is said so, also where nothing would change: a run before may have been cut off.
		m.refuses(sshdConfig)
		for _, host := range []*hosts.Host{h, other} {
			if out, status := m.setup(host); status != 1 || !strings.Contains(out, "sshd refuses its configuration, and did so before: ") {
				t.Errorf("status %d:\n%s", status, out)
			}
		}
		if diff := cmp.Diff(before, m.contents()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	})
}

// An sshd that goes by other lines, whatever the files say, has everything taken back.
func TestApplyTakesBackWhatSshdDoesNotGoBy(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		before := m.snapshot()
		m.says(hosts.PrincipalsDir+"/%u", "/etc/ssh/everybody")
		if out, status := m.setup(prod(t)); status != 1 || !strings.Contains(out, "another line of the configuration of sshd decides for app: AuthorizedPrincipalsFile is /etc/ssh/everybody") {
			t.Errorf("status %d:\n%s", status, out)
		}
		if diff := cmp.Diff(before, m.snapshot()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	})
}

// What a run left behind that was cut off is removed by the next, and is no account's.
func TestApplyAfterOneThatWasCutOff(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		m.apply(h)
		left := []string{hosts.PrincipalsDir + "/.gatepass-new.app", "/etc/ssh/gatepass/.gatepass-old.user_ca.pub", "/etc/ssh/sshd_config.d/.gatepass-new.10-gatepass.conf"}
		for _, name := range left {
			m.write(name, "# writ")
		}
		if found := m.found(h); len(found) > 0 {
			t.Errorf("check finds %q", found)
		}
		m.apply(h)
		for _, name := range left {
			if _, err := os.Stat(m.path(name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there: %v", name, err)
			}
		}
	})
}

// An interrupt while sshd is asked takes everything back, and does not say that sshd refused it.
func TestApplyInterrupted(t *testing.T) {
	for _, signal := range []string{"INT", "TERM", "HUP"} {
		onEach(t, func(t *testing.T, m *machine) {
			before := m.snapshot()
			m.sshd("kill -" + signal + " 0; sleep 5")
			if out, status := m.setup(prod(t)); status == 0 || strings.Contains(out, "refuses") {
				t.Errorf("status %d:\n%s", status, out)
			}
			if diff := cmp.Diff(before, m.snapshot()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
}

func TestApplyOneAtATime(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		m.sshd(`case $1 in -t) [ -e $top/second ] || sh "$top/setup" >"$top/second" 2>&1 || : ;; *) cat "$top/said" ;; esac`)
		m.apply(prod(t))
		if out := m.read("/second"); !strings.Contains(out, "error: another run is at work on /etc/ssh") {
			t.Errorf("a second run while the first is at work:\n%s", out)
		}
		m.apply(prod(t))
	})
}
