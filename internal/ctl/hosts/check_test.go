package hosts_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
)

// same compares findings with parts of them, one for each.
func same(t *testing.T, got, want []string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.Contains(got[i], want[i])
	}
	if !ok {
		t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestCheck(t *testing.T) {
	type change func(m *machine, h *hosts.Host)
	write := func(path, text string) change { return func(m *machine, _ *hosts.Host) { m.write(path, text) } }
	mode := func(path string, mode os.FileMode) change {
		return func(m *machine, _ *hosts.Host) { must(m.t, os.Chmod(m.path(path), mode)) }
	}
	says := func(changes ...string) change { return func(m *machine, _ *hosts.Host) { m.says(changes...) } }
	also := func(lines string) change { return says("port 22\n", "port 22\n"+lines) }
	replace := func(path string, changes ...string) change {
		return func(m *machine, _ *hosts.Host) { m.write(path, strings.NewReplacer(changes...).Replace(m.read(path))) }
	}
	both := func(a, b change) change { return func(m *machine, h *hosts.Host) { a(m, h); b(m, h) } }
	groups := func(group, patterns string) change {
		return both(write("/etc/group", "root:x:0:\nusers:x:1001:\nusers2:x:1002:\n"+group+":x:5:app,deploy\n"), also(patterns))
	}
	tests := []struct {
		name   string
		change change
		want   []string
	}{
		{"nothing", nil, nil},
		{"missing principals", func(m *machine, _ *hosts.Host) { must(m.t, os.Remove(m.path(hosts.PrincipalsDir+"/deploy"))) },
			[]string{"principals/deploy: is missing"}},
		{"a line more", replace(hosts.PrincipalsDir+"/deploy", "deploy@env=prod\n", "deploy@env=prod\ndeploy@env=staging\n"),
			[]string{"principals/deploy: is not what it should be"}},
		{"other labels", func(_ *machine, h *hosts.Host) { h.Labels = map[string]string{"env": "qa"} },
			[]string{"principals/app: is not what it should be", "principals/deploy: is not what it should be"}},
		{"somebody else's file", write(hosts.ConfigFile, "UsePAM yes\n"), []string{"10-gatepass.conf: is not written by"}},
		{"a link in place of a file", func(m *machine, _ *hosts.Host) {
			must(m.t, os.Rename(m.path(hosts.PrincipalsDir+"/app"), m.path("/etc/x")))
			must(m.t, os.Symlink("/etc/x", m.path(hosts.PrincipalsDir+"/app")))
		}, []string{"principals/app: is not a regular file"}},
		{"an account that is not set up", func(_ *machine, h *hosts.Host) { delete(h.Accounts, "app") }, []string{"principals/app: lets into an account that is not set up"}},
		{"a file beside ours", write(hosts.PrincipalsDir+"/root", "deploy\n"), []string{"principals/root: lets into an account, and is not written"}},
		{"a file that others can write", mode(hosts.PrincipalsDir+"/app", 0o664), []string{"principals/app: can be written by others than its owner (mode -rw-rw-r--"}},
		{"a file that accounts cannot read", mode(hosts.PrincipalsDir+"/app", 0o600), []string{"principals/app: cannot be read by the accounts"}},
		{"a folder that others can write", mode(hosts.PrincipalsDir, 0o777), []string{"principals: can be written by others than its owner (mode drwxrwxrwx"}},
		{"a folder that accounts cannot enter", mode(hosts.PrincipalsDir, 0o750), []string{"principals: cannot be read by the accounts"}},
		{"a folder above that others can write", mode("/etc", 0o775), []string{"/etc: can be written by others than its owner (mode drwxrwxr-x"}},
		{"a folder that is a link", func(m *machine, _ *hosts.Host) {
			must(m.t, os.Rename(m.path(hosts.PrincipalsDir), m.path("/etc/ssh/x")))
			must(m.t, os.Symlink("../x", m.path(hosts.PrincipalsDir)))
		}, []string{"principals: is a link, which is not followed"}},
		{"lines of sshd_config that do not end", write(sshdConfig, "# BEGIN gatepassctl host setup; changes made here are lost\nUsePAM yes\n"),
			[]string{"sshd_config: has the line \"# BEGIN", "10-gatepass.conf: is not included by"}},
		{"a folder of another", func(m *machine, _ *hosts.Host) { must(m.t, os.Chown(m.path("/etc/ssh/gatepass"), 1001, 0)) }, []string{"/etc/ssh/gatepass: belongs to user 1001, not to root"}},
		{"no revoked keys, where sshd looks for them", func(m *machine, h *hosts.Host) {
			h.RevokedKeys = true
			also("revokedkeys "+hosts.RevokedKeysFile+"\n")(m, h)
			m.apply(h)
			must(m.t, os.Remove(m.path(hosts.RevokedKeysFile)))
		}, []string{"revoked.krl: is missing"}},
		{"no Include any more", write(sshdConfig, "UsePAM yes\n"), []string{"sshd_config: does not have the lines", "10-gatepass.conf: is not included by /etc/ssh/sshd_config"}},
		{"another authority", write("/etc/ssh/sshd_config.d/00-x.conf", "TrustedUserCAKeys /x\n"), []string{"00-x.conf:1: trustedusercakeys /x: sets what"}},

		{"a configuration that others can write", mode(sshdConfig, 0o666), []string{"sshd_config: can be written by others than its owner (mode -rw-rw-rw-"}},
		{"an included file that others can write", both(write("/etc/ssh/sshd_config.d/00-x.conf", "UsePAM yes\n"), mode("/etc/ssh/sshd_config.d/00-x.conf", 0o664)),
			[]string{"00-x.conf: can be written by others than its owner (mode -rw-rw-r--"}},
		{"a configuration for root only", mode(sshdConfig, 0o600), nil},

		{"no keys from some addresses", write("/etc/ssh/sshd_config.d/50-x.conf", "Match User x\nPubkeyAuthentication no\nMatch address 10.0.0.0/8\nPubkeyAuthentication no\nPermitTTY no\nMatch all\nPubkeyAuthentication no\n"),
			[]string{"50-x.conf:4: pubkeyauthentication no holds for clients of match address 10.0.0.0/8 only"}},
		{"no keys from some addresses, in a file that is included", both(write("/etc/ssh/sshd_config.d/50-x.conf", "Match LocalPort 22\nInclude x.inc\n"),
			write("/etc/ssh/x.inc", "AllowUsers nobody\nMatch User y\nAllowUsers z\n")),
			[]string{"x.inc:1: allowusers nobody holds for clients of match LocalPort 22 only", "x.inc:3: allowusers z holds for clients of match LocalPort 22 match User y only"}},
		{"no account", replace("/etc/passwd", "\napp:", "\nother:"), []string{"account app: does not exist"}},
		{"an account without a shell", replace("/etc/passwd", "app:/bin/sh", "app:/usr/sbin/nologin"), []string{"account app: has the shell /usr/sbin/nologin, which runs no command"}},
		{"an account with a shell that is not there", replace("/etc/passwd", "app:/bin/sh", "app:/bin/no-such-shell"), []string{"account app: has the shell /bin/no-such-shell, which does not exist"}},
		{"an account with the default shell", replace("/etc/passwd", "app:/bin/sh", "app:"), nil},
		{"a locked account, with PAM", replace("/etc/shadow", "app:*", "app:!"), nil},
		{"a locked account, without PAM", both(replace("/etc/shadow", "app:*", "app:!"), says("usepam yes", "usepam no")), []string{"account app: is locked"}},
		{"a locked account, of an sshd that has no PAM", both(replace("/etc/shadow", "app:*", "app:!*"), says("usepam yes\n", "")), []string{"account app: is locked"}},

		{"other users only", also("allowusers admin\nallowusers d*@10.0.0.0/8\n"), []string{"for app: AllowUsers: is admin d*@10.0.0.0/8, which the account is not among"}},
		{"a bracket is no pattern of sshd's", also("allowusers [a-z]*\nallowusers deploy app\n"), nil},
		{"a bracket alone", also("denyusers [a-z]*\n"), nil},
		{"not these users", also("denyusers a?p\n"), []string{"for app: DenyUsers: is a?p, which keeps the account out"}},
		{"not these users from there", also("denyusers app@10.*\n"), []string{"for app: DenyUsers: is app@10.*, which keeps the account out from some addresses"}},
		{"these groups only", groups("wheel", "allowgroups ssh\nallowgroups wheel\n"), nil},
		{"other groups only", groups("wheel", "allowgroups ssh\n"), []string{"for app: AllowGroups: is ssh, which", "for deploy: AllowGroups"}},
		{"not these groups", groups("wheel", "denygroups *s\n"), []string{"for app: DenyGroups: is *s, which"}},
		{"a list of revoked keys that is not there", also("revokedkeys /etc/ssh/other.krl\n"),
			[]string{"for app: RevokedKeys: is /etc/ssh/other.krl, which cannot be read", "for deploy: RevokedKeys"}},
		{"a list of revoked keys of another's", both(write("/etc/ssh/other.krl", ""), also("revokedkeys /etc/ssh/other.krl\n")), nil},
		{"a second factor", also("authenticationmethods publickey,password keyboard-interactive\n"),
			[]string{"for app: AuthenticationMethods: is publickey,password keyboard-interactive, so", "for deploy: AuthenticationMethods"}},
		{"a key or else", also("authenticationmethods password,keyboard-interactive publickey\n"), nil},
		{"any method", also("authenticationmethods any\n"), nil},
		{"no root", func(m *machine, h *hosts.Host) {
			h.Accounts = map[string][]string{"root": {"root"}}
			m.apply(h)
			also("permitrootlogin no\n")(m, h)
		}, []string{"for root: PermitRootLogin: is no"}},
		{"no root, of others", also("permitrootlogin no\n"), nil},

		{"sshd does not start", func(m *machine, _ *hosts.Host) { m.refuses(sshdConfig) }, []string{"sshd -t: /etc/ssh/sshd_config line 2: bad configuration"}},
		{"sshd goes by another authority", says(hosts.AuthorityFile, "/x"), []string{"for app: TrustedUserCAKeys: is /x, not", "for deploy: TrustedUserCAKeys: is /x, not"}},
		{"sshd goes by other principals", says(hosts.PrincipalsDir+"/%u", "none"), []string{"for app: AuthorizedPrincipalsFile: is none", "for deploy: AuthorizedPrincipalsFile: is none"}},
		{"sshd goes by a command as well", says("command none", "command /bin/x"), []string{"AuthorizedPrincipalsCommand: is /bin/x", "AuthorizedPrincipalsCommand: is /bin/x"}},
		{"sshd takes no keys", says("pubkeyauthentication yes", "pubkeyauthentication no"), []string{"PubkeyAuthentication: is no", "PubkeyAuthentication: is no"}},
		{"sshd takes no such signatures", says(",ecdsa-sha2-nistp256", ""), []string{"casignaturealgorithms: lacks", "casignaturealgorithms: lacks"}},
		{"sshd of old takes no such certificates", says("pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes", "ecdsa-sha2-nistp256-cert-v01@openssh.com,", ""),
			[]string{"pubkeyacceptedkeytypes: lacks", "pubkeyacceptedkeytypes: lacks"}},
		{"sshd takes no such certificates", says("ecdsa-sha2-nistp256-cert-v01@openssh.com,", ""), []string{"pubkeyacceptedalgorithms: lacks", "pubkeyacceptedalgorithms: lacks"}},
	}
	all := shells(t)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, h := newMachine(t, all[i%len(all)]), prod(t)
			m.apply(h)
			if tt.change != nil {
				tt.change(m, h)
			}
			before := m.snapshot()
			same(t, m.found(h), tt.want)
			if diff := cmp.Diff(before, m.snapshot()); diff != "" {
				t.Errorf("check changed something, -before +after:\n%s", diff)
			}
		})
	}
}

func TestCheckAfterRotation(t *testing.T) {
	onEach(t, func(t *testing.T, m *machine) {
		h := prod(t)
		old, newer := newSigner(t).PublicKey(), newSigner(t).PublicKey()
		h.Authority = line(old)
		m.apply(h)
		h.Authority = line(old) + line(newer)
		same(t, m.found(h), []string{"does not have the key " + ssh.FingerprintSHA256(newer) + " of the service"})
		m.apply(h)
		h.Authority = line(newer)
		same(t, m.found(h), []string{"has the key " + ssh.FingerprintSHA256(old) + ", which is not of the service or no longer"})
		m.write(hosts.AuthorityFile, "# written by gatepassctl host setup; changes made here are lost\ngarbage\n")
		same(t, m.found(h), []string{"is not a list of public keys"})
		m.write(hosts.AuthorityFile, line(old))
		same(t, m.found(h), []string{"is not written by gatepassctl host setup", "does not have the key ", "has the key " + ssh.FingerprintSHA256(old)})
	})
}

func TestCheckHostCertificates(t *testing.T) {
	const name = "/etc/ssh/key-cert.pub"
	ca, other, host := newSigner(t), newSigner(t), newSigner(t)
	now := time.Now()
	sign := func(change func(*ssh.Certificate)) string {
		c := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"web-1"},
			ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(90 * 24 * time.Hour).Unix())}
		change(c)
		must(t, c.SignCert(rand.Reader, ca))
		return line(c)
	}
	good := sign(func(*ssh.Certificate) {})
	expires := func(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }
	authorities := func(key ssh.PublicKey) func(*machine, *hosts.Host) {
		return func(_ *machine, h *hosts.Host) { h.HostAuthorities = []string{"SHA256:x", ssh.FingerprintSHA256(key)} }
	}
	all := shells(t)
	for i, tt := range []struct {
		name, text string
		change     func(*machine, *hosts.Host)
		want       []string
	}{
		{"good", good, authorities(ca.PublicKey()), nil},
		{"of another authority", good, authorities(other.PublicKey()), []string{"which is not the service's ssh-host authority"}},
		{"for ever", sign(func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity }), nil, nil},
		{"expired", sign(func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix()) }), nil, []string{"expired at " + expires(now)}},
		{"expired, without a beginning", sign(func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, uint64(now.Unix()) }), nil, []string{"expired at " + expires(now)}},
		{"nearly expired", sign(func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Add(24 * time.Hour).Unix()) }), nil, []string{"expires at " + expires(now.Add(24*time.Hour))}},
		{"of the future", sign(func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Add(time.Hour).Unix()) }), nil, []string{"is not valid yet"}},
		{"of the future, for ever", sign(func(c *ssh.Certificate) {
			c.ValidAfter, c.ValidBefore = uint64(now.Add(time.Hour).Unix()), ssh.CertTimeInfinity
		}), nil, []string{"is not valid yet"}},
		{"for another key", sign(func(c *ssh.Certificate) { c.Key = other.PublicKey() }), nil, []string{"is for another key"}},
		{"of a user", sign(func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), nil, []string{"is not a host certificate"}},
		{"a key", line(host.PublicKey()), nil, []string{"is not a certificate"}},
		{"garbage", "x", nil, []string{"is not a certificate"}},
		{"that sshd does not show", good, func(m *machine, _ *hosts.Host) { m.says("hostkey /etc/ssh/key\n", "hostkey /etc/ssh/other\n") },
			[]string{"for app: HostKey: does not name", "for deploy: HostKey: does not name"}},
		{"that sshd is not told of", good, func(m *machine, _ *hosts.Host) {
			m.says("hostcertificate /etc/ssh/key-cert.pub\n", "")
		}, []string{"for app: HostCertificate: does not name", "for deploy: HostCertificate: does not name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, h := newMachine(t, all[i%len(all)]), prod(t)
			m.write("/etc/ssh/key.pub", line(host.PublicKey()))
			m.write(name, good)
			h.HostCertificates = []string{name}
			m.apply(h)
			m.write(name, tt.text)
			if tt.change != nil {
				tt.change(m, h)
			}
			same(t, m.found(h), tt.want)
			// Whatever else is wrong with it, one that cannot be used is not told to sshd.
			out, status := m.setup(h)
			if unusable := strings.Contains(out, "error: host certificate"); unusable != (status == 1) ||
				unusable != (len(tt.want) == 1 && (strings.Contains(tt.want[0], "is not a") || strings.Contains(tt.want[0], "another key"))) {
				t.Errorf("status %d:\n%s", status, out)
			}
		})
	}
}
