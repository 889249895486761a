package hostsetup_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/hostsetup"
)

// effective is what sshd -T says of a host that is set up, after changes.
func effective(changes ...string) hostsetup.Sshd {
	return func(_ context.Context, args ...string) (string, error) {
		if !slices.Equal(args[:2], []string{"-T", "-C"}) {
			return "", errors.New("asked otherwise")
		}
		out := "port 22\npubkeyauthentication yes\ntrustedusercakeys " + hostsetup.AuthorityFile +
			"\nauthorizedprincipalsfile " + hostsetup.PrincipalsDir + "/%u\nauthorizedprincipalscommand none\n" +
			"casignaturealgorithms ssh-ed25519,ecdsa-sha2-nistp256\npubkeyacceptedalgorithms ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-ed25519\n" +
			"hostkey /etc/ssh/key\nhostcertificate /etc/ssh/key-cert.pub\n"
		return strings.NewReplacer(changes...).Replace(out), nil
	}
}

func shell(shell string, err error) func(context.Context, string) (hostsetup.Account, error) {
	return account(hostsetup.Account{Shell: shell}, err)
}

func account(a hostsetup.Account, err error) func(context.Context, string) (hostsetup.Account, error) {
	return func(context.Context, string) (hostsetup.Account, error) { return a, err }
}

// also is an sshd -T that says more.
func also(lines string) hostsetup.Sshd { return effective("port 22\n", "port 22\n"+lines) }

func TestCheck(t *testing.T) {
	change := func(path, text string) func(*image, *hostsetup.Host) {
		return func(m *image, _ *hostsetup.Host) { m.write(path, text) }
	}
	tests := []struct {
		name   string
		change func(*image, *hostsetup.Host)
		with   hostsetup.Checks
		want   []string
	}{
		{"nothing", nil, hostsetup.Checks{Sshd: effective(), Account: shell("/bin/bash", nil)}, nil},
		{"missing principals", func(m *image, _ *hostsetup.Host) { must(m.t, os.Remove(m.path(hostsetup.PrincipalsDir+"/deploy"))) }, hostsetup.Checks{},
			[]string{"principals/deploy: is missing"}},
		{"a line more", func(m *image, _ *hostsetup.Host) {
			m.write(hostsetup.PrincipalsDir+"/deploy", m.read(hostsetup.PrincipalsDir+"/deploy")+"deploy@env=staging\n")
		}, hostsetup.Checks{}, []string{"principals/deploy: is not what it should be"}},
		{"other labels", func(_ *image, h *hostsetup.Host) { h.Labels = map[string]string{"env": "qa"} }, hostsetup.Checks{},
			[]string{"principals/app: is not what it should be", "principals/deploy: is not what it should be"}},
		{"somebody else's file", change(hostsetup.ConfigFile, "UsePAM yes\n"), hostsetup.Checks{}, []string{"10-gatepass.conf: is not written by"}},
		{"an account that is not set up", func(_ *image, h *hostsetup.Host) { delete(h.Accounts, "app") }, hostsetup.Checks{}, []string{"principals/app: lets into an account that is not among"}},
		{"a file beside ours", change(hostsetup.PrincipalsDir+"/root", "deploy\n"), hostsetup.Checks{}, []string{"principals/root: lets into an account, and is not written"}},
		{"a file that others can write", func(m *image, _ *hostsetup.Host) { must(m.t, os.Chmod(m.path(hostsetup.PrincipalsDir+"/app"), 0o664)) }, hostsetup.Checks{},
			[]string{"principals/app: can be written by others than its owner (mode 0664)"}},
		{"a file that accounts cannot read", func(m *image, _ *hostsetup.Host) { must(m.t, os.Chmod(m.path(hostsetup.PrincipalsDir+"/app"), 0o600)) }, hostsetup.Checks{},
			[]string{"principals/app: cannot be read by the accounts"}},
		{"a folder that others can write", func(m *image, _ *hostsetup.Host) { must(m.t, os.Chmod(m.path(hostsetup.PrincipalsDir), 0o777)) }, hostsetup.Checks{},
			[]string{"principals: can be written by others than its owner (mode 0777)"}},
		{"a folder above that others can write", func(m *image, _ *hostsetup.Host) { must(m.t, os.Chmod(m.path("/etc"), 0o775)) }, hostsetup.Checks{},
			[]string{"/etc: can be written by others than its owner (mode 0775)"}},
		{"no revoked keys, where sshd looks for them", func(m *image, h *hostsetup.Host) {
			h.RevokedKeys = true
			_, err := m.apply(h, nil)
			must(m.t, err)
			must(m.t, os.Remove(m.path(hostsetup.RevokedKeysFile)))
		}, hostsetup.Checks{}, []string{"revoked.krl: is missing"}},
		{"no Include", change("/etc/ssh/sshd_config", "UsePAM yes\n"), hostsetup.Checks{}, []string{"sshd_config: does not include"}},
		{"another authority", change("/etc/ssh/sshd_config.d/00-x.conf", "TrustedUserCAKeys /x\n"), hostsetup.Checks{}, []string{"00-x.conf:1: trustedusercakeys /x: sets what"}},

		{"a configuration that others can write", func(m *image, _ *hostsetup.Host) { must(m.t, os.Chmod(m.path("/etc/ssh/sshd_config"), 0o666)) }, hostsetup.Checks{},
			[]string{"sshd_config: can be written by others than its owner (mode 0666)"}},
		{"an included file that others can write", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config.d/00-x.conf", "UsePAM yes\n")
			must(m.t, os.Chmod(m.path("/etc/ssh/sshd_config.d/00-x.conf"), 0o664))
		}, hostsetup.Checks{}, []string{"00-x.conf: can be written by others than its owner (mode 0664)"}},
		{"a configuration for root only", func(m *image, _ *hostsetup.Host) { must(m.t, os.Chmod(m.path("/etc/ssh/sshd_config"), 0o600)) }, hostsetup.Checks{}, nil},

		{"no keys from some addresses", change("/etc/ssh/sshd_config.d/50-x.conf", "Match User x\nPubkeyAuthentication no\nMatch address 10.0.0.0/8\nPubkeyAuthentication no\nPermitTTY no\nMatch all\nPubkeyAuthentication no\n"), hostsetup.Checks{},
			[]string{"50-x.conf:4: pubkeyauthentication no holds for clients of match address 10.0.0.0/8 only"}},
		{"no keys from some addresses, in a file that is included", func(m *image, _ *hostsetup.Host) {
			m.write("/etc/ssh/sshd_config.d/50-x.conf", "Match LocalPort 22\nInclude x.inc\n")
			m.write("/etc/ssh/x.inc", "AllowUsers nobody\nMatch User y\nAllowUsers z\n")
		}, hostsetup.Checks{}, []string{"x.inc:1: allowusers nobody holds for clients of match LocalPort 22 only", "x.inc:3: allowusers z holds for clients of match LocalPort 22 match User y only"}},
		{"no account", nil, hostsetup.Checks{Account: shell("", fs.ErrNotExist)}, []string{"account app: does not exist", "account deploy: does not exist"}},
		{"accounts without a shell", nil, hostsetup.Checks{Account: shell("/usr/sbin/nologin", nil)}, []string{"account app: has the shell /usr/sbin/nologin", "account deploy: has the shell"}},

		{"accounts with a shell that is not there", nil, hostsetup.Checks{Account: account(hostsetup.Account{Shell: "/bin/zsh", NoShell: true}, nil)},
			[]string{"account app: has the shell /bin/zsh, which does not exist", "account deploy: has"}},
		{"locked accounts, with PAM", nil, hostsetup.Checks{Account: account(hostsetup.Account{Locked: true}, nil), Sshd: also("usepam yes\n")}, nil},
		{"locked accounts, without PAM", nil, hostsetup.Checks{Account: account(hostsetup.Account{Locked: true}, nil), Sshd: also("usepam no\n")},
			[]string{"account app: is locked", "account deploy: is locked"}},
		{"locked accounts, of an sshd that has no PAM", nil, hostsetup.Checks{Account: account(hostsetup.Account{Locked: true}, nil), Sshd: effective()},
			[]string{"account app: is locked", "account deploy: is locked"}},

		{"other users only", nil, hostsetup.Checks{Sshd: also("allowusers admin\nallowusers d*@10.0.0.0/8\n")}, []string{"for app: AllowUsers: is admin d*@10.0.0.0/8, which the account is not among"}},
		{"not these users", nil, hostsetup.Checks{Sshd: also("denyusers a?p\n")}, []string{"for app: DenyUsers: is a?p, which keeps the account out"}},
		{"not these users from there", nil, hostsetup.Checks{Sshd: also("denyusers app@10.*\n")}, []string{"for app: DenyUsers: is app@10.*, which keeps the account out from some addresses"}},
		{"these groups only", nil, hostsetup.Checks{Sshd: also("allowgroups ssh\nallowgroups wheel\n"), Account: account(hostsetup.Account{Groups: []string{"users", "wheel"}}, nil)}, nil},
		{"other groups only", nil, hostsetup.Checks{Sshd: also("allowgroups ssh\n"), Account: account(hostsetup.Account{Groups: []string{"users"}}, nil)},
			[]string{"for app: AllowGroups: is ssh, which", "for deploy: AllowGroups"}},
		{"not these groups", nil, hostsetup.Checks{Sshd: also("denygroups *s\n"), Account: account(hostsetup.Account{Groups: []string{"users"}}, nil)},
			[]string{"for app: DenyGroups: is *s, which", "for deploy: DenyGroups"}},
		{"groups that are not known", nil, hostsetup.Checks{Sshd: also("denygroups x\n")}, []string{"for app: DenyGroups: is set, and the account's groups are not known", "for deploy"}},
		{"a list of revoked keys that is not there", nil, hostsetup.Checks{Sshd: also("revokedkeys /etc/ssh/other.krl\n")},
			[]string{"for app: RevokedKeys: is /etc/ssh/other.krl, which cannot be read", "for deploy: RevokedKeys"}},
		{"a list of revoked keys of another's", change("/etc/ssh/other.krl", ""), hostsetup.Checks{Sshd: also("revokedkeys /etc/ssh/other.krl\n")}, nil},
		{"a second factor", nil, hostsetup.Checks{Sshd: also("authenticationmethods publickey,password keyboard-interactive\n")},
			[]string{"for app: AuthenticationMethods: is publickey,password keyboard-interactive, so", "for deploy: AuthenticationMethods"}},
		{"a key or else", nil, hostsetup.Checks{Sshd: also("authenticationmethods password,keyboard-interactive publickey\n")}, nil},
		{"any method", nil, hostsetup.Checks{Sshd: also("authenticationmethods any\n")}, nil},
		{"no root", func(m *image, h *hostsetup.Host) {
			h.Accounts = map[string][]string{"root": {"root"}}
			_, err := m.apply(h, nil)
			must(m.t, err)
		}, hostsetup.Checks{Sshd: also("permitrootlogin no\n")}, []string{"for root: PermitRootLogin: is no"}},
		{"no root, of others", nil, hostsetup.Checks{Sshd: also("permitrootlogin no\n")}, nil},
		{"sshd that has read nothing since", nil, hostsetup.Checks{HasRead: time.Unix(0, 1)}, []string{"sshd: has not read /etc/ssh/sshd_config.d/10-gatepass.conf since it was written"}},
		{"sshd that has read it", nil, hostsetup.Checks{HasRead: time.Now().Add(time.Hour)}, nil},

		{"sshd does not start", nil, hostsetup.Checks{Sshd: func(context.Context, ...string) (string, error) { return "", errors.New("bad line") }}, []string{"sshd -T: bad line"}},
		{"sshd goes by another authority", nil, hostsetup.Checks{Sshd: effective(hostsetup.AuthorityFile, "/x")}, []string{"for app: TrustedUserCAKeys: is /x, not", "for deploy: TrustedUserCAKeys: is /x, not"}},
		{"sshd goes by other principals", nil, hostsetup.Checks{Sshd: effective(hostsetup.PrincipalsDir+"/%u", "none")}, []string{"AuthorizedPrincipalsFile: is none", "AuthorizedPrincipalsFile: is none"}},
		{"sshd goes by a command as well", nil, hostsetup.Checks{Sshd: effective("command none", "command /bin/x")}, []string{"AuthorizedPrincipalsCommand: is /bin/x", "AuthorizedPrincipalsCommand: is /bin/x"}},
		{"sshd takes no keys", nil, hostsetup.Checks{Sshd: effective("pubkeyauthentication yes", "pubkeyauthentication no")}, []string{"PubkeyAuthentication: is no", "PubkeyAuthentication: is no"}},
		{"sshd takes no such signatures", nil, hostsetup.Checks{Sshd: effective(",ecdsa-sha2-nistp256", "")}, []string{"casignaturealgorithms: lacks", "casignaturealgorithms: lacks"}},
		{"sshd of old takes no such certificates", nil, hostsetup.Checks{Sshd: effective("pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes", "ecdsa-sha2-nistp256-cert-v01@openssh.com,", "")},
			[]string{"pubkeyacceptedkeytypes: lacks", "pubkeyacceptedkeytypes: lacks"}},
		{"sshd takes no such certificates", nil, hostsetup.Checks{Sshd: effective("ecdsa-sha2-nistp256-cert-v01@openssh.com,", "")}, []string{"pubkeyacceptedalgorithms: lacks", "pubkeyacceptedalgorithms: lacks"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, h := newImage(t), prod(t)
			_, err := m.apply(h, nil)
			must(t, err)
			if tt.change != nil {
				tt.change(m, h)
			}
			before := m.snapshot()
			same(t, m.found(h, tt.with), tt.want)
			if after := m.snapshot(); len(after) != len(before) {
				t.Errorf("check changed something")
			}
		})
	}
}

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

func TestCheckAfterRotation(t *testing.T) {
	m, h := newImage(t), prod(t)
	old, newer := newSigner(t).PublicKey(), newSigner(t).PublicKey()
	h.Authority = line(old)
	_, err := m.apply(h, nil)
	must(t, err)
	h.Authority = line(old) + line(newer)
	same(t, m.found(h, hostsetup.Checks{}), []string{"does not have the key " + ssh.FingerprintSHA256(newer) + " of the service"})
	_, err = m.apply(h, nil)
	must(t, err)
	h.Authority = line(newer)
	same(t, m.found(h, hostsetup.Checks{}), []string{"has the key " + ssh.FingerprintSHA256(old) + ", which is not of the service or no longer"})
	m.write(hostsetup.AuthorityFile, "garbage\n")
	same(t, m.found(h, hostsetup.Checks{}), []string{"is no list of public keys"})
}

func TestCheckHostCertificates(t *testing.T) {
	const name = "/etc/ssh/key-cert.pub"
	ca, other, host := newSigner(t), newSigner(t), newSigner(t)
	sign := func(change func(*ssh.Certificate)) string {
		c := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"web-1"},
			ValidAfter: uint64(now.Add(-time.Hour).Unix()), ValidBefore: uint64(now.Add(90 * 24 * time.Hour).Unix())}
		change(c)
		must(t, c.SignCert(rand.Reader, ca))
		return line(c)
	}
	for _, tt := range []struct {
		name, text string
		with       hostsetup.Checks
		want       []string
	}{
		{"good", sign(func(*ssh.Certificate) {}), hostsetup.Checks{HostAuthority: line(ca.PublicKey()), Sshd: effective()}, nil},
		{"of another authority", sign(func(*ssh.Certificate) {}), hostsetup.Checks{HostAuthority: line(other.PublicKey())}, []string{"which is not the service's ssh-host authority"}},
		{"expired", sign(func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix()) }), hostsetup.Checks{}, []string{"expired at 2026-03-04T05:06:07Z"}},
		{"nearly expired", sign(func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Add(24 * time.Hour).Unix()) }), hostsetup.Checks{}, []string{"expires at 2026-03-05T05:06:07Z"}},
		{"of the future", sign(func(c *ssh.Certificate) { c.ValidAfter = uint64(now.Add(time.Minute).Unix()) }), hostsetup.Checks{}, []string{"is not valid yet"}},
		{"for another key", sign(func(c *ssh.Certificate) { c.Key = other.PublicKey() }), hostsetup.Checks{}, []string{"is for another key"}},
		{"of a user", sign(func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), hostsetup.Checks{}, []string{"is no host certificate"}},
		{"a key", line(host.PublicKey()), hostsetup.Checks{}, []string{"is no host certificate"}},
		{"garbage", "x", hostsetup.Checks{}, []string{"is no certificate"}},
		{"that sshd does not show", sign(func(*ssh.Certificate) {}), hostsetup.Checks{Sshd: effective("hostkey /etc/ssh/key\n", "hostkey /etc/ssh/other\n")},
			[]string{"for app: HostKey: does not name", "for deploy: HostKey: does not name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, h := newImage(t), prod(t)
			m.write("/etc/ssh/key.pub", line(host.PublicKey()))
			m.write(name, sign(func(*ssh.Certificate) {}))
			h.HostCertificates = []string{name}
			_, err := m.apply(h, nil)
			must(t, err)
			m.write(name, tt.text)
			same(t, m.found(h, tt.with), tt.want)
		})
	}
}

func TestWarningsAreNoFaults(t *testing.T) {
	ca, host := newSigner(t), newSigner(t)
	c := &ssh.Certificate{Key: host.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"web-1"}, ValidBefore: uint64(now.Add(time.Hour).Unix())}
	must(t, c.SignCert(rand.Reader, ca))
	m, h := newImage(t), prod(t)
	m.write("/etc/ssh/key.pub", line(host.PublicKey()))
	m.write("/etc/ssh/key-cert.pub", line(c))
	h.HostCertificates = []string{"/etc/ssh/key-cert.pub"}
	_, err := m.apply(h, nil)
	must(t, err)
	found, err := hostsetup.Check(t.Context(), m.dir, h, hostsetup.Checks{Now: now})
	must(t, err)
	if len(found) != 1 || !found[0].Warning {
		t.Errorf("found %+v", found)
	}
}
