package cert_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

func sshRequest(t testing.TB) cert.SSHRequest {
	serial, err := cert.NewSSHSerial(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return cert.SSHRequest{
		Key:             sshKey(t, newECDSA(t, elliptic.P256()).Public()),
		KeyID:           "gatepass:example:01JNABCDEFGHJKMNPQRSTVWXYZ",
		Principals:      []string{"deploy", "release"},
		Extensions:      map[string]string{"permit-pty": "", "login@github.com": "octo-bot"},
		CriticalOptions: map[string]string{"source-address": "192.0.2.7/32", "force-command": "/usr/bin/deploy --all"},
		Serial:          serial,
		ValidAfter:      now.Add(-time.Minute),
		ValidBefore:     now.Add(15 * time.Minute),
	}
}

func TestSSHCertificatesAreAcceptedByServers(t *testing.T) {
	ca := newECDSA(t, elliptic.P256())
	trusted := sshKey(t, ca.Public())
	checker := ssh.CertChecker{
		IsUserAuthority:          func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), trusted.Marshal()) },
		SupportedCriticalOptions: []string{"force-command", "source-address"},
		Clock:                    func() time.Time { return now },
	}
	for name, key := range map[string]crypto.PublicKey{
		"P-256":    newECDSA(t, elliptic.P256()).Public(),
		"P-384":    newECDSA(t, elliptic.P384()).Public(),
		"Ed25519":  newEd25519(t).Public(),
		"RSA 2048": newRSA(t, 2048).Public(),
	} {
		t.Run(name, func(t *testing.T) {
			r := sshRequest(t)
			r.Key = sshKey(t, key)
			line, err := cert.SignSSH(rand.Reader, ca, r)
			if err != nil {
				t.Fatal(err)
			}
			parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			c := parsed.(*ssh.Certificate)
			if !checker.IsUserAuthority(c.SignatureKey) {
				t.Error("the authority is not ours")
			}
			for _, login := range r.Principals {
				if err := checker.CheckCert(login, c); err != nil {
					t.Error(err)
				}
			}
			if err := checker.CheckCert("root", c); err == nil {
				t.Error("the certificate is good for root")
			}
			if !maps.Equal(c.Extensions, r.Extensions) || !maps.Equal(c.CriticalOptions, r.CriticalOptions) || c.Serial != r.Serial {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestSSHKeygenReadsCertificates(t *testing.T) {
	keygen := tool(t, "ssh-keygen")
	ca := newECDSA(t, elliptic.P256())
	fingerprint, err := cert.SSHFingerprint(ca.Public())
	if err != nil {
		t.Fatal(err)
	}

	r := sshRequest(t)
	line, err := cert.SignSSH(rand.Reader, ca, r)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, run(t, keygen, "-L", "-f", write(t, "key-cert.pub", line)),
		"Type: ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate",
		"Signing CA: ECDSA "+fingerprint+" (using ecdsa-sha2-nistp256)",
		`Key ID: "`+r.KeyID+`"`,
		"Serial: "+strconv.FormatUint(r.Serial, 10),
		"Valid: from 2026-03-04T05:05:07 to 2026-03-04T05:21:07",
		"Principals: \n                deploy\n                release\n",
		"force-command /usr/bin/deploy --all", "source-address 192.0.2.7/32",
		"permit-pty", "login@github.com UNKNOWN OPTION")

	r.Host, r.Principals, r.Extensions, r.CriticalOptions = true, []string{"db1.example.com", "10.0.0.5", "2001:db8::5"}, nil, nil
	if line, err = cert.SignSSH(rand.Reader, ca, r); err != nil {
		t.Fatal(err)
	}
	mustContain(t, run(t, keygen, "-L", "-f", write(t, "host-cert.pub", line)),
		"host certificate", "db1.example.com", "Critical Options: (none)", "Extensions: (none)")
}

// host makes r a request for a host certificate for one name.
func host(r *cert.SSHRequest, name string) {
	r.Host, r.Principals, r.Extensions, r.CriticalOptions = true, []string{name}, nil, nil
}

func TestSSHPrincipalsWithLabels(t *testing.T) {
	r := sshRequest(t)
	r.Principals = []string{"deploy", "deploy@env=prod", "deploy@example.com@env=prod,tier=web", strings.Repeat("a", 256) + "@n=" + strings.Repeat("b", 510)}
	line, err := cert.SignSSH(rand.Reader, newECDSA(t, elliptic.P256()), r)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, run(t, tool(t, "ssh-keygen"), "-L", "-f", write(t, "key-cert.pub", line)), "\n                deploy@example.com@env=prod,tier=web\n")
}

func TestSSHRequestsThatAreRefused(t *testing.T) {
	ca := newECDSA(t, elliptic.P256())
	userCert, err := cert.SignSSH(rand.Reader, ca, sshRequest(t))
	if err != nil {
		t.Fatal(err)
	}
	asKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(userCert))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*cert.SSHRequest)
		reason string
	}{
		{"no key", func(r *cert.SSHRequest) { r.Key = nil }, "needs a public key"},
		{"a certificate as key", func(r *cert.SSHRequest) { r.Key = asKey }, "unsupported key"},
		{"a P-521 key", func(r *cert.SSHRequest) { r.Key = sshKey(t, newECDSA(t, elliptic.P521()).Public()) }, "unsupported key"},
		{"no principals", func(r *cert.SSHRequest) { r.Principals = nil }, "1 to 256 principals, not 0"},
		{"too many principals", func(r *cert.SSHRequest) { r.Principals = make([]string, 257) }, "1 to 256 principals, not 257"},
		{"an empty principal", func(r *cert.SSHRequest) { r.Principals = []string{"deploy", ""} }, `principal ""`},
		{"two principals in one", func(r *cert.SSHRequest) { r.Principals = []string{"deploy,root"} }, "a login is without comma and ="},
		{"a principal with a newline", func(r *cert.SSHRequest) { r.Principals = []string{"deploy\nroot"} }, "without space, quote and #"},
		{"a principal with a space", func(r *cert.SSHRequest) { r.Principals = []string{"deploy root"} }, "without space, quote and #"},
		{"a principal with NUL", func(r *cert.SSHRequest) { r.Principals = []string{"root\x00"} }, "without space, quote and #"},
		{"a long principal", func(r *cert.SSHRequest) { r.Principals = []string{strings.Repeat("a", 770)} }, "1 to 769"},
		{"a principal with a comment", func(r *cert.SSHRequest) { r.Principals = []string{"root#deploy"} }, "without space, quote and #"},
		{"a login with a label in it", func(r *cert.SSHRequest) { r.Principals = []string{"env=prod@deploy"} }, "a login is without comma and ="},
		{"labels without a login", func(r *cert.SSHRequest) { r.Principals = []string{"@env=prod"} }, "a login is without comma and ="},
		{"two logins with labels in one", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@env=prod,root@env=prod"} }, "a login is without comma and ="},
		{"labels out of order", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@tier=web,env=prod"} }, "sorted by name"},
		{"a label twice", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@env=prod,env=qa"} }, "each once"},
		{"a label without a value", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@env="} }, "labels are NAME=VALUE"},
		{"a label without a name", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@=prod"} }, "labels are NAME=VALUE"},
		{"a label with two values", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@env=prod=qa"} }, "labels are NAME=VALUE"},
		{"an end without a label", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@env=prod,"} }, "labels are NAME=VALUE"},
		{"a wildcard label", func(r *cert.SSHRequest) { r.Principals = []string{"deploy@env=*"} }, "no wildcard"},
		{"a wildcard host", func(r *cert.SSHRequest) { host(r, "*.example.com") }, "is a pattern, which ssh takes for no host"},
		{"a host with a question mark", func(r *cert.SSHRequest) { host(r, "web-?") }, "is a pattern, which ssh takes for no host"},
		{"a host in capital letters", func(r *cert.SSHRequest) { host(r, "Web-1") }, `write "web-1"`},
		{"a host with a port", func(r *cert.SSHRequest) { host(r, "web-1:22") }, "without a port"},
		{"a host with a login", func(r *cert.SSHRequest) { host(r, "deploy@web-1") }, "is no host's"},
		{"two hosts in one", func(r *cert.SSHRequest) { host(r, "web-1,web-2") }, "is no host's"},
		{"a wildcard login", func(r *cert.SSHRequest) { r.Principals = []string{"*"} }, "no wildcard"},
		{"no key id", func(r *cert.SSHRequest) { r.KeyID = "" }, "key id"},
		{"a key id that forges a log line", func(r *cert.SSHRequest) { r.KeyID = "a\nb" }, "key id"},
		{"a long key id", func(r *cert.SSHRequest) { r.KeyID = strings.Repeat("a", 257) }, "key id"},
		{"serial zero", func(r *cert.SSHRequest) { r.Serial = 0 }, "serial"},
		{"the end before the start", func(r *cert.SSHRequest) { r.ValidBefore = r.ValidAfter.Add(-1) }, "never valid"},
		{"less than a second", func(r *cert.SSHRequest) { r.ValidBefore = r.ValidAfter.Add(time.Second - 1) }, "never valid"},
		{"for ever", func(r *cert.SSHRequest) { r.ValidBefore = time.Unix(253402300800, 0) }, "for ever"},
		{"no start", func(r *cert.SSHRequest) { r.ValidAfter = time.Time{} }, "never valid"},
		{"an unknown critical option", func(r *cert.SSHRequest) { r.CriticalOptions = map[string]string{"verify-required": ""} }, "only force-command"},
		{"an empty command", func(r *cert.SSHRequest) { r.CriticalOptions = map[string]string{"force-command": ""} }, "no value of it"},
		{"an empty address", func(r *cert.SSHRequest) { r.CriticalOptions = map[string]string{"source-address": ""} }, "no value of it"},
		{"a wildcard address", func(r *cert.SSHRequest) { r.CriticalOptions = map[string]string{"source-address": "192.0.2.*"} }, "no value of it"},
		{"an address with host bits", func(r *cert.SSHRequest) { r.CriticalOptions = map[string]string{"source-address": "192.0.2.7/24"} }, "no value of it"},
		{"one bad address of two", func(r *cert.SSHRequest) { r.CriticalOptions = map[string]string{"source-address": "192.0.2.7,x"} }, "no value of it"},
		{"an extension without a name", func(r *cert.SSHRequest) { r.Extensions = map[string]string{"": ""} }, "extension"},
		{"a host with extensions", func(r *cert.SSHRequest) { r.Host, r.Principals, r.CriticalOptions = true, []string{"web-1"}, nil }, "a host certificate has no extensions"},
		{"a host with critical options", func(r *cert.SSHRequest) { r.Host, r.Extensions = true, nil }, "a host certificate has no extensions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sshRequest(t)
			tt.change(&r)
			line, err := cert.SignSSH(rand.Reader, ca, r)
			mustFail(t, err, tt.reason)
			if line != "" {
				t.Errorf("it returned %q", line)
			}
		})
	}
}

func TestFaultySignersMakeNoSSHCertificate(t *testing.T) {
	for name, s := range liars(t, newECDSA(t, elliptic.P256())) {
		t.Run(name, func(t *testing.T) {
			if line, err := cert.SignSSH(rand.Reader, s, sshRequest(t)); err == nil || line != "" {
				t.Fatalf("it returned %q, %v", line, err)
			}
		})
	}
	for name, s := range wrongKinds(t) {
		t.Run(name, func(t *testing.T) {
			_, err := cert.SignSSH(rand.Reader, s, sshRequest(t))
			mustFail(t, err, "must be ECDSA P-256")
		})
	}
	_, err := cert.SignSSH(rand.Reader, nil, sshRequest(t))
	mustFail(t, err, "no signing key")
}

func TestSSHValidityIsCutToSeconds(t *testing.T) {
	r := sshRequest(t)
	r.ValidBefore = r.ValidBefore.Add(999 * time.Millisecond)
	line, err := cert.SignSSH(rand.Reader, newECDSA(t, elliptic.P256()), r)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if got := key.(*ssh.Certificate).ValidBefore; got != uint64(now.Add(15*time.Minute).Unix()) {
		t.Errorf("it ends at %d", got)
	}
}
