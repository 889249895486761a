package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

func TestMain(m *testing.M) { worldtest.Main(m) }

// mostMemory is what the server may have of memory whatever strangers do.
const mostMemory = 128 << 20

// honest is the source address of honest jobs. Strangers come from others of loopback.
const honest = "127.0.0.1"

const rules = `
kind: role
version: v7
metadata: {name: deployer}
spec: {allow: {logins: [deploy]}}
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [deployer]}
---
kind: token
version: v2
metadata: {name: bitbucket}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow:
      - repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"
        branch_name: main
`

// target is a server that is attacked.
type target struct {
	*worldtest.World
	tls *tls.Config // of a client that trusts it; nil if the server has no TLS
}

// newTarget starts a server and has it know rules and an issuer.
func newTarget(t *testing.T, o worldtest.ServeOptions) *target {
	t.Helper()
	w := &target{World: worldtest.LocalWith(t, o)}
	w.Apply(rules)
	return w
}

// newTLSTarget is newTarget with TLS.
func newTLSTarget(t *testing.T) *target {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	certified.Close()
	pair := certified.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	dir := t.TempDir()
	w := newTarget(t, worldtest.ServeOptions{Flags: []string{
		"--tls-cert", worldtest.Write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		"--tls-key", worldtest.Write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	}})
	pool := x509.NewCertPool()
	pool.AddCert(certified.Certificate())
	w.tls = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *target) address() string {
	_, address, _ := strings.Cut(w.URL, "://")
	return address
}

// dial connects from a source address.
func dial(ctx context.Context, source, to string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 10 * time.Second}
	return d.DialContext(ctx, "tcp", to)
}

// request is a new request of an honest job.
func (w *target) request(t testing.TB, options ...issuertest.Option) []byte {
	t.Helper()
	idToken, err := w.Issuer.Bitbucket(issuertest.BitbucketJob{}, options...)
	must(t, err)
	return requestWith(t, "bitbucket", idToken)
}

func requestWith(t testing.TB, rule, idToken string) []byte {
	t.Helper()
	body, err := worldtest.SSHRequest(rule, idToken)
	must(t, err)
	return body
}

// client is an HTTP client at a source address, with a new connection for each request.
func (w *target) client(source string) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: w.tls,
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) { return dial(ctx, source, to) },
	}}
}

// join joins as an honest job from a source address. The answer must be credentials. tries is
// how often the job sends its request if its connection is cut off, as the client does: only a flood
// from the job's own address may do that.
func (w *target) join(t *testing.T, source string, tries int) {
	t.Helper()
	began, body := time.Now(), w.request(t)
	resp, err := w.client(source).Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
	for ; err != nil && tries > 1; tries-- {
		resp, err = w.client(source).Post(w.URL+api.PathJoin, "application/json", bytes.NewReader(body))
	}
	if err != nil {
		t.Errorf("an honest job is not answered: %v", err)
		return
	}
	defer resp.Body.Close()
	var answer struct {
		api.JoinResponse
		Detail string
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK || len(answer.Credentials) != 1 {
		t.Errorf("an honest job is answered with %d %s, %v", resp.StatusCode, answer.Detail, err)
	}
	t.Logf("an honest join took %s", time.Since(began).Round(time.Millisecond))
}

// checkMemory checks the most memory that the server had so far.
func (w *target) checkMemory(t *testing.T) {
	t.Helper()
	most := w.Serve.MostMemory()
	t.Logf("the server had %d MiB at most", most>>20)
	if most > mostMemory {
		t.Errorf("the server had %d MiB, more than %d", most>>20, int64(mostMemory)>>20)
	}
}
