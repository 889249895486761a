package hosts_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatepass-ci/gatepass/internal/ctl/hosts"
)

func TestHostsThatCannotBe(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*hosts.Host)
		want   string
	}{
		"no authority":                    {func(h *hosts.Host) { h.Authority = "# none\n" }, "the authority has no public key"},
		"an authority that is garbage":    {func(h *hosts.Host) { h.Authority = "x\n" }, "is not public keys"},
		"an authority with options":       {func(h *hosts.Host) { h.Authority = `principals="root" ` + h.Authority }, "is not public keys"},
		"a private key":                   {func(h *hosts.Host) { h.Authority = "-----BEGIN OPENSSH PRIVATE KEY-----\n" }, "is not public keys"},
		"no accounts":                     {func(h *hosts.Host) { h.Accounts = nil }, "no logins"},
		"an account without logins":       {func(h *hosts.Host) { h.Accounts["app"] = nil }, "local account app: no login may be it"},
		"an account that is a path":       {func(h *hosts.Host) { h.Accounts["../../x"] = []string{"x"} }, `"../../x" is not a login`},
		"an account that begins with a .": {func(h *hosts.Host) { h.Accounts[".x"] = []string{"x"} }, "is not a login"},
		"a login with labels":             {func(h *hosts.Host) { h.Accounts["app"] = []string{"x@env=prod"} }, "is not a login"},
		"a login of two lines":            {func(h *hosts.Host) { h.Accounts["app"] = []string{"x\nroot"} }, "is not a login"},
		"too many principals": {func(h *hosts.Host) {
			for _, n := range "abcdefgh" {
				h.Labels[string(n)] = "x"
			}
			for i := range 17 {
				h.Accounts["app"] = append(h.Accounts["app"], "x"+strings.Repeat("x", i))
			}
		}, "give fewer labels"},
		"a certificate without a path": {func(h *hosts.Host) { h.HostCertificates = []string{"key-cert.pub"} }, "write its absolute path"},
		"a certificate that is a key":  {func(h *hosts.Host) { h.HostCertificates = []string{"/etc/ssh/key.pub"} }, "write its absolute path"},
		"a certificate of two words":   {func(h *hosts.Host) { h.HostCertificates = []string{"/x\nPermitRootLogin yes\n-cert.pub"} }, "write its absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			h := prod(t)
			tt.change(h)
			if files, err := h.Files(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %s", files, err, tt.want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	h := prod(t)
	h.RevokedKeys = true
	files, err := h.Files()
	must(t, err)
	const marker = "# written by gatepassctl host setup; changes made here are lost\n"
	want := []hosts.File{
		{Path: hosts.AuthorityFile, Content: marker + h.Authority},
		{Path: hosts.PrincipalsDir + "/app", Content: marker + "# who may log in as app on a host with env=prod,tier=web\n" +
			"deploy\ndeploy@env=prod\ndeploy@env=prod,tier=web\ndeploy@tier=web\nops\nops@env=prod\nops@env=prod,tier=web\nops@tier=web\n"},
		{Path: hosts.PrincipalsDir + "/deploy", Content: marker + "# who may log in as deploy on a host with env=prod,tier=web\n" +
			"deploy\ndeploy@env=prod\ndeploy@env=prod,tier=web\ndeploy@tier=web\n"},
		{Path: hosts.RevokedKeysFile, Keep: true},
		{Path: hosts.ConfigFile, Content: marker + "TrustedUserCAKeys /etc/ssh/gatepass/user_ca.pub\n" +
			"AuthorizedPrincipalsFile /etc/ssh/gatepass/principals/%u\nRevokedKeys /etc/ssh/gatepass/revoked.krl\n"},
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
