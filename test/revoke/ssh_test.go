package revoke

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sshdtest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// TestRevokedSSH has a real sshd refuse a certificate that it took a moment before,
// by the list that the host fetched, and go on taking another.
func TestRevokedSSH(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"data":  func(t *testing.T) { revokedSSH(t, local(t), true) },
		"stack": func(t *testing.T) { revokedSSH(t, deployed(t), false) }, // where each phase of a rotation waits for a minute
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func revokedSSH(t *testing.T, w *world, rotate bool) {
	client := worldtest.Need(t, "ssh")
	list := filepath.Join(t.TempDir(), "revoked.krl")
	// Before anything is revoked, and as a host is set up.
	w.Ctl("revoke", "export", "--krl", list)
	host, err := sshdtest.Start(t.Context(), sshdtest.Config{
		TrustedUserCAKeys: w.Ctl("ca", "export", "--type", "ssh-user"), Logins: []string{"deploy"}, RevokedKeysFile: list,
	})
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v", err)
	}
	worldtest.Must(t, err)
	t.Cleanup(func() { _ = host.Close() })

	revoked, kept := w.Join(t, "example-bot", "identity"), w.Join(t, "other-bot", "identity")
	addr, port, _ := strings.Cut(host.Addr(), ":")
	login := func(set string) string {
		out, _ := exec.CommandContext(t.Context(), client, "-F", "none", "-i", set+"/key", "-o", "CertificateFile="+set+"/key-cert.pub",
			"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-p", port, "deploy@"+addr, "whoami").CombinedOutput()
		return string(out)
	}
	mustEnter := func(when, set string) {
		t.Helper()
		if out := login(set); !strings.HasSuffix(out, "deploy\n") {
			t.Errorf("%s: not let in: %s\n%s", when, out, host.Log())
		}
	}
	mustNotEnter := func(when, set string) {
		t.Helper()
		if out := login(set); !strings.Contains(out, "Permission denied") {
			t.Errorf("%s: let in: %s", when, out)
		}
	}
	mustEnter("before it is revoked", revoked)

	w.Ctl("revoke", "bot", "example", "--reason", "incident 42")
	mustEnter("before the host has the list", revoked)
	began := time.Now()
	for {
		out, ok := w.fetch(t, "ssh.krl", list)
		if !ok {
			t.Fatalf("the script: %s", out)
		}
		if strings.Contains(login(revoked), "Permission denied") {
			break
		}
		if time.Since(began) > 45*time.Second {
			t.Fatalf("a minute after it was revoked the certificate is still taken\n%s", host.Log())
		}
		time.Sleep(time.Second)
	}
	mustNotEnter("when the host has the list", revoked)
	mustEnter("another bot's", kept)
	mustEnter("a new one of the same bot, which is not locked", w.Join(t, "example-bot", "identity"))
	if out, ok := w.fetch(t, "ssh.krl", list); !ok || out != "" {
		t.Errorf("nothing else was revoked, and the script said %q", out) // though version and time differ
	}

	// A host may trust the old key for longer than the service says.
	if rotate {
		for _, phase := range []string{"1", "2", "3"} {
			w.Ctl("ca", "rotate", "--type", "ssh-user", "--phase", phase, "--force")
		}
		if out, ok := w.fetch(t, "ssh.krl", list); !ok {
			t.Fatalf("the script: %s", out)
		}
		mustNotEnter("after a rotation that the host has not followed", revoked)
		mustEnter("another bot's, then", kept)
	}

	// What docs/incident.md warns of.
	worldtest.Must(t, os.Remove(list))
	mustNotEnter("without the file every key is refused", kept)
}
