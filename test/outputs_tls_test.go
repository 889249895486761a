package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// testNginx has two servers: one for people of the application authority, who must
// come for grafana, and one for those of the database authority.
func testNginx(t *testing.T, w *outputWorld) {
	nginx := need(t, "nginx")
	dir := filepath.Join(w.dir, "nginx")
	must(t, os.Mkdir(dir, 0o700))
	app, database := freePort(t), freePort(t)
	server := func(port, authority, only string) string {
		return fmt.Sprintf(`
	server {
		listen %s ssl;
		ssl_certificate %s;
		ssl_certificate_key %s;
		ssl_client_certificate %s;
		ssl_verify_client on;
		location / { %s return 200 "hello $ssl_client_s_dn\n"; }
	}`, listen(port), w.pki.cert, w.pki.key, w.authority(t, authority), only)
	}
	config := write(t, dir, "nginx.conf", `
daemon off;
pid `+dir+`/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path `+dir+`/body;
	proxy_temp_path `+dir+`/proxy;
	fastcgi_temp_path `+dir+`/fastcgi;
	uwsgi_temp_path `+dir+`/uwsgi;
	scgi_temp_path `+dir+`/scgi;
`+server(app, "x509-application", `if ($ssl_client_s_dn !~ "(^|,)OU=grafana(,|$)") { return 403 "not for you\n"; }`)+
		server(database, "x509-database", "")+"\n}\n")
	startServer(t, app, exec.Command(nginx, "-p", dir, "-c", config))

	curl := func(set, cert, key, port string) *exec.Cmd {
		return exec.CommandContext(within(t, 30*time.Second), need(t, "curl"), "-sS", "--cert", file(set, cert), "--key", file(set, key),
			"--cacert", w.pki.ca, "https://localhost:"+port)
	}
	grafana := w.Join(t, "example", "application", "--app", "grafana", "--server-ca", w.pki.ca)
	mustSay(t, curl(grafana, "tls.crt", "tls.key", app), true, "hello CN=example,OU=grafana")
	// With the file that the output itself has for --cacert.
	mustSay(t, exec.Command("curl", "-sS", "--cert", file(grafana, "tls.crt"), "--key", file(grafana, "tls.key"),
		"--cacert", file(grafana, "tls.cas"), "https://localhost:"+app), true, "hello")
	other := w.Join(t, "example", "application", "--app", "other", "--server-ca", w.pki.ca)
	mustSay(t, curl(other, "tls.crt", "tls.key", app), true, "not for you")
	mustSay(t, curl(grafana, "tls.crt", "tls.key", database), true, "The SSL certificate error")
	identity := w.Join(t, "example", "identity")
	mustSay(t, curl(identity, "tlscert", "key", app), true, "The SSL certificate error")
	mustSay(t, exec.Command("curl", "-sS", "--cacert", w.pki.ca, "https://localhost:"+app), true, "No required SSL certificate")
	testJava(t, w, database, app)
}

// testJava runs a Java program with the PKCS#12 files.
func testJava(t *testing.T, w *outputWorld, port, otherPort string) {
	need(t, "javac") // a program from its source needs the compiler
	java := need(t, "java")
	source, err := filepath.Abs("testdata/Get.java")
	must(t, err)
	set := w.Join(t, "example", "database", "--username", "app", "--format", "pkcs12", "--server-ca", w.pki.ca)
	get := func(port string) *exec.Cmd {
		return exec.CommandContext(within(t, time.Minute), java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", source, set, "https://localhost:"+port)
	}
	mustSay(t, get(port), true, "200 hello CN=app")
	mustSay(t, get(otherPort), true, "400 ")
}

// testRedis has a server that asks for certificates of the application authority.
func testRedis(t *testing.T, w *outputWorld) {
	server, cli := need(t, "redis-server"), need(t, "redis-cli")
	port := freePort(t)
	startServer(t, port, exec.Command(server, "--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--save", "", "--dir", t.TempDir(),
		"--tls-cert-file", w.pki.cert, "--tls-key-file", w.pki.key, "--tls-ca-cert-file", w.authority(t, "x509-application"), "--tls-auth-clients", "yes"))
	ping := func(args ...string) *exec.Cmd {
		return exec.CommandContext(within(t, 30*time.Second), cli, append([]string{"-h", "localhost", "-p", port, "--tls", "--cacert", w.pki.ca}, append(args, "ping")...)...)
	}
	set := w.Join(t, "example", "application", "--app", "grafana", "--server-ca", w.pki.ca)
	mustSay(t, ping("--cert", file(set, "tls.crt"), "--key", file(set, "tls.key")), true, "PONG")
	identity := w.Join(t, "example", "identity")
	refused := func(cmd *exec.Cmd) {
		t.Helper()
		// With TLS 1.3 the refusal comes after the handshake, and redis-cli's status varies.
		if out, _ := cmd.CombinedOutput(); strings.Contains(string(out), "PONG") {
			t.Errorf("%s was let in:\n%s", strings.Join(cmd.Args, " "), out)
		}
	}
	refused(ping("--cert", file(identity, "tlscert"), "--key", file(identity, "key")))
	refused(ping())
}

// testOIDC verifies the token as a relying party does that knows the issuer's URL alone.
func testOIDC(t *testing.T, w *outputWorld) {
	const audience = "https://vault.example.com"
	set := w.Join(t, "example", "jwt", "--jwt-audience", audience)
	raw, err := os.ReadFile(file(set, "jwt"))
	must(t, err)
	ctx := within(t, 30*time.Second)
	provider, err := oidc.NewProvider(ctx, w.URL)
	must(t, err)
	config := &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.ES256}}
	token, err := provider.VerifierContext(ctx, config).Verify(ctx, string(raw))
	must(t, err)
	var claims struct {
		Groups []string `json:"groups"`
	}
	must(t, token.Claims(&claims))
	if token.Subject != "bot:example" || strings.Join(claims.Groups, " ") != "deployers viewers" {
		t.Errorf("the token is for %s in %q", token.Subject, claims.Groups)
	}
	reject := func(name, token string, config *oidc.Config) {
		t.Helper()
		if _, err := provider.VerifierContext(context.Background(), config).Verify(ctx, token); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	reject("another audience", string(raw), &oidc.Config{ClientID: "https://elsewhere", SupportedSigningAlgs: config.SupportedSigningAlgs})
	later := *config
	later.Now = func() time.Time { return token.Expiry.Add(time.Second) }
	reject("an ended token", string(raw), &later)
	spoiled := []byte(raw)
	spoiled[len(spoiled)-10] ^= 1
	reject("a spoiled signature", string(spoiled), config)
}
