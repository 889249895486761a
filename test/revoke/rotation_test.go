package revoke

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// TestRevokedDuringARotation: a server that checks CRLs wants one of every authority
// that it trusts. While both keys are trusted there are two, and both refuse.
func TestRevokedDuringARotation(t *testing.T) {
	t.Parallel()
	w := local(t)
	openssl := worldtest.Need(t, "openssl")
	dir := t.TempDir()
	ca, list := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "revoked.crl")
	bring := func() {
		t.Helper()
		worldtest.Write(t, dir, "ca.pem", w.Ctl("ca", "export", "--type", "x509-identity"))
		if out, ok := w.fetch(t, "x509-identity.crl", list, ca); !ok {
			t.Fatal(out)
		}
	}
	verify := func(when, set, want string) {
		t.Helper()
		out, _ := exec.CommandContext(t.Context(), openssl, "verify", "-crl_check_all", "-CAfile", ca, "-CRLfile", list, set+"/tlscert").CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: got %s, want %q", when, out, want)
		}
	}
	before := w.Join(t, "example-bot", "identity")
	bring()
	verify("before", before, ": OK")
	w.Ctl("ca", "rotate", "--type", "x509-identity", "--phase", "1")
	bring()
	verify("the old key signs, both are trusted", before, ": OK")
	w.Ctl("ca", "rotate", "--type", "x509-identity", "--phase", "2", "--force")
	bring()
	after := w.Join(t, "example-bot", "identity")
	verify("the new key signs, of the old", before, ": OK")
	verify("the new key signs, of the new", after, ": OK")

	w.Ctl("revoke", "bot", "example")
	until(t, "the lists lack what was revoked", func() bool {
		bring()
		out, _ := exec.CommandContext(t.Context(), openssl, "verify", "-crl_check_all", "-CAfile", ca, "-CRLfile", list, before+"/tlscert").CombinedOutput()
		return strings.Contains(string(out), "certificate revoked")
	})
	verify("revoked, of the new key", after, "certificate revoked")
	verify("issued later", w.Join(t, "example-bot", "identity"), ": OK")
}
