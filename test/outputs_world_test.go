package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// outputRules let one bot be two database users of one database, and a bot that is
// called like PostgreSQL's administrator be nobody.
const outputRules = `
kind: role
version: v7
metadata: {name: user}
spec:
  allow:
    logins: [deploy]
    db_users: [app, reporting]
    db_names: [orders, other]
    kubernetes_users: [ci]
    kubernetes_groups: [deployers, viewers]
    app_names: [grafana, other]
    jwt_audiences: ["https://vault.example.com", "cluster"]
---
kind: role
version: v7
metadata: {name: login}
spec: {allow: {logins: [deploy]}}
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [user]}
---
kind: bot
version: v1
metadata: {name: postgres}
spec: {roles: [login]}
---
kind: token
version: v2
metadata: {name: example}
spec: &spec
  roles: [Bot]
  join_method: bitbucket
  bot_name: BOT
  max_joins: 100
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
`

// outputWorld is a join service, a client, and the key of a servers' authority.
type outputWorld struct {
	*worldtest.World
	dir string // that other users can enter
	pki *serverPKI
}

func newOutputWorld(t *testing.T) *outputWorld {
	t.Helper()
	// Not t.TempDir: PostgreSQL runs as a user of its own.
	dir, err := os.MkdirTemp("", "gatepass-test-outputs-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	w := &outputWorld{World: worldtest.Local(t), dir: dir, pki: newServerPKI(t, dir)}
	head, token, _ := strings.Cut(outputRules, "kind: token\n")
	token = strings.Replace("kind: token\n"+token, "&spec", "", 1)
	w.Apply(head + strings.ReplaceAll(token, "BOT", "example") +
		"---\n" + strings.ReplaceAll(strings.ReplaceAll(token, "{name: example}", "{name: postgres}"), "BOT", "postgres"))
	return w
}

// gatepass is a command in a step of its own, in the directory of the world.
func (w *outputWorld) gatepass(t *testing.T, rule string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := w.Gatepass(t, rule, args...)
	cmd.Dir = w.dir
	return cmd
}

// authority exports one of the service's authorities as servers take it.
func (w *outputWorld) authority(t *testing.T, kind string) string {
	t.Helper()
	path := write(t, w.dir, kind+".pem", w.Ctl("ca", "export", "--type", kind))
	must(t, os.Chmod(path, 0o644))
	return path
}

// serverPKI is the authority of the servers' own certificates, which is no business of Gatepass.
type serverPKI struct{ ca, cert, key string }

func newServerPKI(t *testing.T, dir string) *serverPKI {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "servers"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, &signer.PublicKey, signer)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: template.NotBefore, NotAfter: template.NotAfter,
	}
	cert, err := x509.CreateCertificate(rand.Reader, server, template, &key.PublicKey, signer)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	file := func(name, kind string, der []byte) string {
		return write(t, dir, name, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
	}
	return &serverPKI{
		ca: file("server-ca.pem", "CERTIFICATE", ca), cert: file("server.crt", "CERTIFICATE", cert), key: file("server.key", "PRIVATE KEY", private),
	}
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	return port
}

// startServer starts a server that stays in the foreground, and waits until it listens.
func startServer(t *testing.T, port string, cmd *exec.Cmd) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // PostgreSQL's fast shutdown
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-done
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", filepath.Base(cmd.Path), log.String())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		connection, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended:\n%s", filepath.Base(cmd.Path), log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen", filepath.Base(cmd.Path))
		}
	}
}

// mustSay runs a command and looks for text in what it says; ok tells whether it must succeed.
func mustSay(t *testing.T, cmd *exec.Cmd, ok bool, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if (err == nil) != ok || !strings.Contains(string(out), want) {
		t.Errorf("%s: %v, want success %t and %q:\n%s", strings.Join(cmd.Args, " "), err, ok, want, out)
	}
}

// TestOutputs uses every output with the programs that it is for.
func TestOutputs(t *testing.T) {
	w := newOutputWorld(t)
	for name, test := range map[string]func(*testing.T, *outputWorld){
		"PostgreSQL": testPostgreSQL,
		"nginx":      testNginx,
		"Redis":      testRedis,
		"Kubernetes": testKubernetes,
		"OIDC":       testOIDC,
		"full disk":  testFullDisk,
		"planted":    testPlanted,
		"readers":    testReaders,
		"writers":    testTwoWriters,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, w) })
	}
}

func file(dir string, names ...string) string {
	return filepath.Join(append([]string{dir}, names...)...)
}

func listen(port string) string { return fmt.Sprintf("127.0.0.1:%s", port) }
