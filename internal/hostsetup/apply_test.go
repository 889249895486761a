package hostsetup_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/hostsetup"
)

func prod(t *testing.T) *hostsetup.Host {
	return &hostsetup.Host{
		Labels:    map[string]string{"env": "prod", "tier": "web"},
		Accounts:  map[string][]string{"deploy": {"deploy"}, "app": {"ops", "deploy"}},
		Authority: line(newSigner(t).PublicKey()),
	}
}

func TestApply(t *testing.T) {
	m, h := newImage(t), prod(t)
	h.RevokedKeys = true
	done, err := m.apply(h, nil)
	must(t, err)
	want := map[string]string{
		hostsetup.AuthorityFile:             hostsetup.Created,
		hostsetup.PrincipalsDir + "/deploy": hostsetup.Created,
		hostsetup.PrincipalsDir + "/app":    hostsetup.Created,
		hostsetup.RevokedKeysFile:           hostsetup.Created,
		hostsetup.ConfigFile:                hostsetup.Created,
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, text := range map[string]string{
		hostsetup.PrincipalsDir + "/deploy": "# written by gatepassctl host setup; changes made here are lost\n# who may log in as deploy on a host with env=prod,tier=web\n" +
			"deploy\ndeploy@env=prod\ndeploy@env=prod,tier=web\ndeploy@tier=web\n",
		hostsetup.PrincipalsDir + "/app": "# written by gatepassctl host setup; changes made here are lost\n# who may log in as app on a host with env=prod,tier=web\n" +
			"deploy\ndeploy@env=prod\ndeploy@env=prod,tier=web\ndeploy@tier=web\nops\nops@env=prod\nops@env=prod,tier=web\nops@tier=web\n",
		hostsetup.AuthorityFile: "# written by gatepassctl host setup; changes made here are lost\n" + h.Authority,
		hostsetup.ConfigFile: "# written by gatepassctl host setup; changes made here are lost\nTrustedUserCAKeys /etc/ssh/gatepass/user_ca.pub\n" +
			"AuthorizedPrincipalsFile /etc/ssh/gatepass/principals/%u\nRevokedKeys /etc/ssh/gatepass/revoked.krl\n",
		hostsetup.RevokedKeysFile: "",
	} {
		if diff := cmp.Diff(text, m.read(name)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
	if found := m.found(h, hostsetup.Checks{}); len(found) > 0 {
		t.Errorf("after it, check finds %q", found)
	}

	// Again, with keys revoked meanwhile: nothing changes, not even times.
	m.write(hostsetup.RevokedKeysFile, "revoked")
	before := m.snapshot()
	done, err = m.apply(h, nil)
	must(t, err)
	for path, change := range done {
		if change != hostsetup.Unchanged {
			t.Errorf("again: %s %s", change, path)
		}
	}
	if diff := cmp.Diff(before, m.snapshot()); diff != "" {
		t.Errorf("again, -before +after:\n%s", diff)
	}
}

// An account that is no longer listed, or a label that no longer holds, lets nobody in.
func TestApplyTakesAway(t *testing.T) {
	m, h := newImage(t), prod(t)
	_, err := m.apply(h, nil)
	must(t, err)
	delete(h.Accounts, "app")
	h.Labels = map[string]string{"env": "staging"}
	done, err := m.apply(h, nil)
	must(t, err)
	want := map[string]string{
		hostsetup.AuthorityFile:             hostsetup.Unchanged,
		hostsetup.PrincipalsDir + "/deploy": hostsetup.Updated,
		hostsetup.PrincipalsDir + "/app":    hostsetup.Removed,
		hostsetup.ConfigFile:                hostsetup.Unchanged,
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text := m.read(hostsetup.PrincipalsDir + "/deploy"); strings.Contains(text, "prod") || strings.Contains(text, "tier") {
		t.Errorf("the old labels still hold:\n%s", text)
	}
	if _, err := os.Stat(m.path(hostsetup.PrincipalsDir + "/app")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("app is still open: %v", err)
	}
}

func TestApplyMendsModes(t *testing.T) {
	m, h := newImage(t), prod(t)
	_, err := m.apply(h, nil)
	must(t, err)
	must(t, os.Chmod(m.path(hostsetup.PrincipalsDir+"/app"), 0o666))
	done, err := m.apply(h, nil)
	must(t, err)
	info, err := os.Stat(m.path(hostsetup.PrincipalsDir + "/app"))
	must(t, err)
	if done[hostsetup.PrincipalsDir+"/app"] != hostsetup.Updated || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, mode %v", done, info.Mode())
	}
}

// What refuses, refuses before anything is written.
func TestApplyRefuses(t *testing.T) {
	const include = "Include /etc/ssh/sshd_config.d/*.conf\n"
	tests := []struct {
		name    string
		prepare func(m *image, h *hostsetup.Host)
		want    string
	}{
		{"a config file that someone else wrote", func(m *image, _ *hostsetup.Host) { m.write(hostsetup.ConfigFile, "UsePAM no\n") }, "10-gatepass.conf: not written by gatepassctl"},
		{"principals that someone else wrote", func(m *image, _ *hostsetup.Host) { m.write(hostsetup.PrincipalsDir+"/app", "root\n") }, "principals/app: not written by gatepassctl"},
		{"an authority that someone else wrote", func(m *image, _ *hostsetup.Host) { m.write(hostsetup.AuthorityFile, "ssh-ed25519 AAAA\n") }, "user_ca.pub: not written by gatepassctl"},
		{"principals that are a link", func(m *image, _ *hostsetup.Host) {
			must(m.t, os.MkdirAll(m.path(hostsetup.PrincipalsDir), 0o755))
			must(m.t, os.Symlink("/etc/passwd", m.path(hostsetup.PrincipalsDir+"/app")))
		}, "principals/app is no regular file"},
		{"a folder that is a link out", func(m *image, _ *hostsetup.Host) { must(m.t, os.Symlink("/tmp", m.path(hostsetup.Folder))) }, "gatepass/user_ca.pub"},
		{"a configuration without Include", func(m *image, _ *hostsetup.Host) { m.write("/etc/ssh/sshd_config", "UsePAM yes\n#"+include) }, "does not include"},
		{"Include of some logins only", func(m *image, _ *hostsetup.Host) { m.write("/etc/ssh/sshd_config", "Match User x\n"+include) }, "does not include"},
		{"Include of other files", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/99-*.conf\n")
		}, "does not include"},
		{"no configuration", func(m *image, _ *hostsetup.Host) { must(m.t, os.Remove(m.path("/etc/ssh/sshd_config"))) }, "sshd_config"},
		{"another authority", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config", include+"\ntrustedusercakeys /etc/ssh/other.pub\n")
		}, "/etc/ssh/sshd_config:3: trustedusercakeys /etc/ssh/other.pub"},
		{"another authority for some", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config.d/99-x.conf", "Match User x\nTrustedUserCAKeys=/etc/ssh/other.pub\n")
		}, "99-x.conf:2"},
		{"no authority, which would come first", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config.d/00-x.conf", "TrustedUserCAKeys none\n")
		}, "00-x.conf:1"},
		{"another authority in a file that is included", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config", "Include /etc/ssh/a*/*.conf\n"+include)
			m.write("/etc/ssh/ab/x.conf", "UsePAM yes\nTrustedUserCAKeys /etc/ssh/other.pub\n")
		}, "/etc/ssh/ab/x.conf:2"},
		{"other principals for some, in a file included by one that is included", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config.d/99-x.conf", "Match Address 10.0.0.0/8\nInclude more.conf\n")
			m.write("/etc/ssh/more.conf", "AuthorizedPrincipalsFile /etc/ssh/everybody\n")
		}, "/etc/ssh/more.conf:1"},
		{"another authority behind a link of the image's own", func(m *image, _ *hostsetup.Host) {
			m.write("/usr/share/x.conf", "TrustedUserCAKeys /etc/ssh/other.pub\n")
			must(m.t, os.MkdirAll(m.path("/etc/ssh/sshd_config.d"), 0o755))
			must(m.t, os.Symlink("/usr/share/x.conf", m.path("/etc/ssh/sshd_config.d/x.conf")))
		}, "/etc/ssh/sshd_config.d/x.conf:1"},
		{"a file that includes itself", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config.d/x.conf", include)
		}, "included deeper than sshd does"},
		{"principals of a command", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config", include+"AuthorizedPrincipalsCommand /bin/cat /x\n")
		}, "authorizedprincipalscommand"},
		{"other revoked keys", func(m *image, h *hostsetup.Host) {
			h.RevokedKeys = true
			m.write("/etc/ssh/sshd_config", include+"RevokedKeys /etc/ssh/revoked\n")
		}, "revokedkeys"},
		{"a host certificate that is not there", func(_ *image, h *hostsetup.Host) {
			h.HostCertificates = []string{"/etc/ssh/ssh_host_ed25519_key-cert.pub"}
		}, "it is not there; make it by gatepassctl host sign --write /etc/ssh/ssh_host_ed25519_key.pub"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, h := newImage(t), prod(t)
			tt.prepare(m, h)
			before := m.snapshot()
			if _, err := m.apply(h, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if diff := cmp.Diff(before, m.snapshot()); diff != "" {
				t.Errorf("something was written, -before +after:\n%s", diff)
			}
		})
	}
}

// A link of an image leads where it does on the image's host, and not out of the image.
func TestLinksOfImages(t *testing.T) {
	m, h := newImage(t), prod(t)
	outside := t.TempDir() + "/outside.conf"
	must(t, os.WriteFile(outside, []byte("TrustedUserCAKeys /etc/ssh/other.pub\n"), 0o644))
	must(t, os.MkdirAll(m.path("/etc/ssh/sshd_config.d"), 0o755))
	must(t, os.Symlink(outside, m.path("/etc/ssh/sshd_config.d/a.conf")))
	must(t, os.Symlink("../../../../../../../../../../../../.."+outside, m.path("/etc/ssh/sshd_config.d/b.conf")))
	must(t, os.Rename(m.path("/etc/ssh/sshd_config"), m.path("/etc/real")))
	must(t, os.Symlink("/etc/real", m.path("/etc/ssh/sshd_config")))
	_, err := m.apply(h, nil)
	must(t, err)
	if found := m.found(h, hostsetup.Checks{}); len(found) > 0 {
		t.Errorf("check finds %q", found)
	}
	must(t, os.Remove(m.path("/etc/ssh/sshd_config.d/a.conf")))
	must(t, os.Symlink("a.conf", m.path("/etc/ssh/sshd_config.d/a.conf")))
	if _, err := m.apply(h, nil); err == nil || !strings.Contains(err.Error(), "too many links") {
		t.Errorf("a link to itself: %v", err)
	}
}

// Lines that say the same, or nothing about it, are no reason to refuse.
func TestApplyBesideOtherSettings(t *testing.T) {
	m, h := newImage(t), prod(t)
	m.write("/etc/ssh/sshd_config", "Include sshd_config.d/*.conf\n# TrustedUserCAKeys /x\nTrustedUserCAKeys \""+hostsetup.AuthorityFile+"\" # ours\nRevokedKeys /etc/ssh/revoked\nAuthorizedPrincipalsCommand none\n")
	_, err := m.apply(h, nil)
	must(t, err)
}

func TestApplyRollsBack(t *testing.T) {
	m, h := newImage(t), prod(t)
	files := func() map[string]string {
		all := m.snapshot()
		for name, text := range all { // without times
			_, content, _ := strings.Cut(text, "\n")
			all[name] = content
		}
		return all
	}
	before := files()
	_, err := m.apply(h, refuses(m.path(hostsetup.ConfigFile)))
	refused, ok := errors.AsType[*hostsetup.RefusedError](err)
	if !ok || refused.Before || !strings.Contains(err.Error(), "line 2: bad configuration") || !strings.Contains(err.Error(), "taken back") {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(before, files()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}

	// The same over what was there, with an account that goes.
	_, err = m.apply(h, nil)
	must(t, err)
	before = files()
	other := prod(t)
	other.Accounts = map[string][]string{"new": {"deploy"}}
	_, err = m.apply(other, refuses(m.path(hostsetup.PrincipalsDir+"/new")))
	if _, ok := errors.AsType[*hostsetup.RefusedError](err); !ok {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(before, files()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}

	// What was wrong before is told so.
	_, err = m.apply(other, refuses(m.path("/etc/ssh/sshd_config")))
	if refused, ok := errors.AsType[*hostsetup.RefusedError](err); !ok || !refused.Before {
		t.Fatalf("got %v", err)
	}
}

func TestOpenDir(t *testing.T) {
	if _, err := hostsetup.OpenDir(t.TempDir()); !errors.Is(err, hostsetup.ErrNoSSH) {
		t.Errorf("a tree without /etc/ssh: %v", err)
	}
	m := newImage(t)
	must(t, os.RemoveAll(m.path("/etc/ssh")))
	must(t, os.Symlink("/tmp", m.path("/etc/ssh")))
	if _, err := hostsetup.OpenDir(m.top); err == nil || !strings.Contains(err.Error(), "leads out of") {
		t.Errorf("an /etc/ssh that is a link out of the tree: %v", err)
	}
}

// What a run left behind that was cut off is removed by the next, and is no account's.
func TestApplyAfterOneThatWasCutOff(t *testing.T) {
	m, h := newImage(t), prod(t)
	_, err := m.apply(h, nil)
	must(t, err)
	left := []string{hostsetup.PrincipalsDir + "/.gatepass-ABC", hostsetup.Folder + "/.gatepass-DEF", "/etc/ssh/sshd_config.d/.gatepass-GHI"}
	for _, name := range left {
		m.write(name, "# writ")
	}
	if found := m.found(h, hostsetup.Checks{}); len(found) > 0 {
		t.Errorf("check finds %q", found)
	}
	_, err = m.apply(h, nil)
	must(t, err)
	for _, name := range left {
		if _, err := os.Stat(m.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	// It may have come to write all, and not to ask sshd.
	_, err = m.apply(h, refuses(m.path(hostsetup.ConfigFile)))
	if refused, ok := errors.AsType[*hostsetup.RefusedError](err); !ok || !refused.Before {
		t.Errorf("a configuration that sshd refuses, and that is as it should be: %v", err)
	}
}

// An interrupt while sshd is asked takes all back, and does not say that sshd refused it.
func TestApplyInterrupted(t *testing.T) {
	m, h := newImage(t), prod(t)
	before := m.snapshot()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := hostsetup.Apply(ctx, m.dir, h, func(context.Context, ...string) (string, error) {
		cancel()
		return "", errors.New("signal: killed")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, m.snapshot()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestApplyOneAtATime(t *testing.T) {
	m, h := newImage(t), prod(t)
	_, err := m.apply(h, func(context.Context, ...string) (string, error) {
		if _, err := m.apply(prod(t), nil); !errors.Is(err, hostsetup.ErrRunning) {
			t.Errorf("a second run while the first is at work: %v", err)
		}
		return "", nil
	})
	must(t, err)
	_, err = m.apply(h, nil)
	must(t, err)
}
