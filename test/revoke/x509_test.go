package revoke

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// TestRevokedX509 has openssl and nginx refuse a certificate that they took before.
func TestRevokedX509(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"openssl, with the service's lists": func(t *testing.T) { revokedOpenSSL(t, local(t), false) },
		"openssl, with files, on a stack":   func(t *testing.T) { revokedOpenSSL(t, deployed(t), true) },
		"nginx":                             func(t *testing.T) { revokedNginx(t, local(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func revokedOpenSSL(t *testing.T, w *world, files bool) {
	openssl := worldtest.Need(t, "openssl")
	dir := t.TempDir()
	list, ca := filepath.Join(dir, "revoked.crl"), worldtest.Write(t, dir, "ca.pem", w.Ctl("ca", "export", "--type", "x509-identity"))
	get := func() {
		t.Helper()
		if files {
			w.Ctl("revoke", "export", "--crl", list)
		} else if out, ok := w.fetch(t, "x509.crl", list); !ok {
			t.Fatal(out)
		}
	}
	verify := func(set string) string {
		out, _ := exec.CommandContext(t.Context(), openssl, "verify", "-crl_check_all", "-CAfile", ca, "-CRLfile", list, set+"/tlscert").CombinedOutput()
		return string(out)
	}
	revoked, kept := w.Join(t, "example-bot", "identity"), w.Join(t, "other-bot", "identity")
	get()
	for _, set := range []string{revoked, kept} {
		if out := verify(set); !strings.HasSuffix(out, ": OK\n") {
			t.Errorf("before it is revoked: %s", out)
		}
	}
	// With --crl the command itself waits until the service's list has it.
	said := w.Ctl("revoke", "bot", "example", "--crl", list)
	for _, want := range []string{"ssh-user", "x509-identity", "wrote " + list} {
		if !strings.Contains(said, want) {
			t.Errorf("revoke does not say %q:\n%s", want, said)
		}
	}
	if out := verify(revoked); !strings.Contains(out, "certificate revoked") {
		t.Errorf("when it is revoked: %s", out)
	}
	until(t, "the service's list lacks what was revoked", func() bool {
		get()
		return strings.Contains(verify(revoked), "certificate revoked")
	})
	if out := verify(kept); !strings.HasSuffix(out, ": OK\n") {
		t.Errorf("another bot's: %s", out)
	}
	if files {
		return // each list of a stack's service is waited for
	}
	// By its serial, as openssl prints it.
	_, serial, _ := strings.Cut(strings.TrimSpace(worldtest.Output(t, openssl, "x509", "-in", kept+"/tlscert", "-noout", "-serial")), "=")
	w.Ctl("revoke", "serial", serial, "--type", "x509-identity", "--crl", list)
	if out := verify(kept); !strings.Contains(out, "certificate revoked") {
		t.Errorf("revoked by its serial %s: %s", serial, out)
	}
}

const nginxConfig = `
daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr info;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server {
    listen 127.0.0.1:%[2]s ssl;
    ssl_certificate %[1]s/server.pem; ssl_certificate_key %[1]s/server.key;
    ssl_client_certificate %[1]s/ca.pem; ssl_crl %[1]s/revoked.crl;
    ssl_verify_client on; ssl_verify_depth 1;
    location / { return 200 "hello $ssl_client_s_dn\n"; }
  }
}
`

func revokedNginx(t *testing.T, w *world) {
	nginx, curl, openssl := worldtest.Need(t, "nginx"), worldtest.Need(t, "curl"), worldtest.Need(t, "openssl")
	dir := t.TempDir()
	list := filepath.Join(dir, "revoked.crl")
	worldtest.Write(t, dir, "ca.pem", w.Ctl("ca", "export", "--type", "x509-application"))
	worldtest.Output(t, openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
		"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", dir+"/server.key", "-out", dir+"/server.pem")
	if out, ok := w.fetch(t, "x509-application.crl", list, dir+"/ca.pem"); !ok {
		t.Fatal(out)
	}
	revoked := w.Join(t, "example-bot", "application", "--app", "grafana", "--server-ca", dir+"/server.pem")
	kept := w.Join(t, "other-bot", "application", "--app", "grafana", "--server-ca", dir+"/server.pem")

	ask := func(set string) string {
		port := freePort(t)
		conf := worldtest.Write(t, dir, "nginx.conf", fmt.Sprintf(nginxConfig, dir, port))
		server := exec.CommandContext(t.Context(), nginx, "-c", conf, "-p", dir)
		server.Stderr = os.Stderr
		if !testing.Verbose() {
			server.Stderr = nil
		}
		worldtest.Must(t, server.Start())
		defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
		until(t, "nginx does not listen", func() bool {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				_ = c.Close()
			}
			return err == nil
		})
		out, _ := exec.CommandContext(t.Context(), curl, "-sS", "--cacert", dir+"/server.pem", "--cert", set+"/tls.crt", "--key", set+"/tls.key",
			"https://localhost:"+port).CombinedOutput()
		return string(out)
	}
	mustSay := func(when, got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%s nginx says %q, want %q", when, got, want)
		}
	}
	mustSay("before it is revoked", ask(revoked), "hello CN=example,OU=grafana")
	w.Ctl("revoke", "bot", "example")
	until(t, "the list has not changed", func() bool {
		out, ok := w.fetch(t, "x509-application.crl", list, dir+"/ca.pem")
		return ok && strings.Contains(out, "has changed")
	})
	mustSay("when it is revoked", ask(revoked), "The SSL certificate error")
	mustSay("another bot's", ask(kept), "hello CN=other,OU=grafana")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	worldtest.Must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	worldtest.Must(t, err)
	return port
}
