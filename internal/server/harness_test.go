package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// noon is when the tests' clocks start.
var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// sharedIssuer mints tokens under the CIs' real names. Its key takes a while to make.
var sharedIssuer = sync.OnceValues(func() (*issuertest.Issuer, error) {
	return issuertest.New(issuertest.Config{Offline: true, Now: func() time.Time { return noon }})
})

// service is the handler over real parts: SQLite, key files, an issuer's keys
// imported under its real name. Its clock stands still unless it is moved.
type service struct {
	*httptest.Server
	t      testing.TB
	issuer *issuertest.Issuer
	store  *sqlite.Store
	clock  *clock
	log    *syncBuffer
	config join.Config
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// wait passes the time at once.
func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.advance(d)
	return ctx.Err()
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const publicURL = "https://join.example.com"

// exampleRules are one bot with a role that grants something of each kind, and a token rule for each CI.
const exampleRules = `
kind: role
version: v7
metadata: {name: deployer}
spec:
  allow:
    logins: [deploy]
    db_users: [app]
    db_names: [orders]
    kubernetes_users: [ci]
    kubernetes_groups: [deployers]
    app_names: [grafana]
    jwt_audiences: ["https://vault.example.com"]
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [deployer]}
---
kind: token
version: v2
metadata: {name: example-bot}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow:
      - workspace_uuid: "{922e118c-f34f-4226-a897-0e0afbec553d}"
        repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"
        branch_name: main
    deny:
      - branch_name: legacy
---
kind: token
version: v2
metadata: {name: circle-bot}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    allow:
      - context_id: 00000000-0000-0000-0000-000000000002
        vcs_origin: github.com/acme/shop
`

// newService starts a service. change may replace parts of it beforehand.
func newService(t testing.TB, change ...func(*service, *server.Config)) *service {
	t.Helper()
	issuer, err := sharedIssuer()
	must(t, err)
	dir := t.TempDir()
	s := &service{t: t, issuer: issuer, clock: &clock{now: noon}, log: &syncBuffer{}}
	s.store, err = sqlite.Open(t.Context(), dir, sqlite.Options{})
	must(t, err)
	authorities, err := localca.Open(s.t.Context(), filepath.Join(dir, "authorities"), localca.Options{Now: s.clock.Now})
	must(t, err)
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	s.config = join.Config{
		Store:     s.store,
		Refresher: refresherFunc(func(context.Context, string) error { return nil }), Authorities: authorities, Local: true,
		PublicURL: publicURL, TrustDomain: "example.com",
		Now: s.clock.Now, Rand: rand.Reader, Wait: s.clock.wait, Log: log,
	}
	config := server.Config{PublicURL: publicURL, Version: "test", SourceAddr: server.SourceAddr(nil), Log: log}
	for _, f := range change {
		f(s, &config)
	}
	if config.Revoked == nil {
		config.Revoked = authority.NewLists(authority.ListsConfig{Revocations: s.store, Authorities: s.config.Authorities, Now: s.clock.Now, Rand: rand.Reader})
	}
	config.Join, err = join.New(s.config)
	must(t, err)
	s.Server = httptest.NewServer(server.New(config))
	t.Cleanup(func() {
		s.Close()
		must(t, s.store.Close())
	})

	s.apply(exampleRules)
	keys, err := issuer.JWKS()
	must(t, err)
	for _, name := range []string{issuer.BitbucketURL(), issuer.CircleCIURL()} {
		_, _, err := jwks.Import(t.Context(), s.store, name, keys, noon)
		must(t, err)
	}
	return s
}

type refresherFunc func(context.Context, string) error

func (f refresherFunc) Refresh(ctx context.Context, issuer string) error { return f(ctx, issuer) }

// apply stores resources, in place of those that are there.
func (s *service) apply(yaml string) {
	s.t.Helper()
	documents, _, err := rules.Parse("test.yaml", []byte(yaml))
	must(s.t, err)
	var wanted []rules.Resource
	for _, d := range documents {
		wanted = append(wanted, d.Resource)
	}
	state, err := admin.Read(s.t.Context(), s.store)
	must(s.t, err)
	steps, err := state.Plan(wanted)
	must(s.t, err)
	_, err = admin.Execute(s.t.Context(), s.store, steps, noon)
	must(s.t, err)
}

// remove removes a resource.
func (s *service) remove(kind rules.Kind, name string) {
	s.t.Helper()
	state, err := admin.Read(s.t.Context(), s.store)
	must(s.t, err)
	step, err := state.PlanRemove(kind, name)
	must(s.t, err)
	_, err = admin.Execute(s.t.Context(), s.store, []admin.Step{step}, noon)
	must(s.t, err)
}

func (s *service) bitbucket(job issuertest.BitbucketJob, options ...issuertest.Option) string {
	s.t.Helper()
	token, err := s.issuer.Bitbucket(job, options...)
	must(s.t, err)
	return token
}

func (s *service) circleci(job issuertest.CircleCIJob, options ...issuertest.Option) string {
	s.t.Helper()
	token, err := s.issuer.CircleCI(job, options...)
	must(s.t, err)
	return token
}

// answer is what the service answered.
type answer struct {
	status  int
	header  http.Header
	body    string
	granted *api.JoinResponse // of a 200
	problem *api.Problem      // of anything else
}

func (s *service) post(body []byte, header ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, api.PathJoin, body, header...)
}

// do sends a request. header is names and values in turn.
func (s *service) do(method, path string, body []byte, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, bytes.NewReader(body))
	must(s.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	must(s.t, err)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(content)}
	switch {
	case resp.StatusCode == http.StatusOK && path == api.PathJoin:
		a.granted = &api.JoinResponse{}
		must(s.t, json.Unmarshal(content, a.granted))
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotModified && method != http.MethodHead:
		if ct := resp.Header.Get("Content-Type"); ct != api.ProblemContentType {
			s.t.Fatalf("%s %s: status %d with content type %q, not a problem: %s", method, path, resp.StatusCode, ct, content)
		}
		a.problem = &api.Problem{}
		must(s.t, json.Unmarshal(content, a.problem))
		if a.problem.Status != resp.StatusCode {
			s.t.Fatalf("status %d, and %d in the problem", resp.StatusCode, a.problem.Status)
		}
	}
	return a
}

func (s *service) join(req *api.JoinRequest) answer {
	s.t.Helper()
	body, err := json.Marshal(req)
	must(s.t, err)
	return s.post(body)
}

// granted joins and fails the test if it is refused.
func (s *service) granted(req *api.JoinRequest) *api.JoinResponse {
	s.t.Helper()
	a := s.join(req)
	if a.granted == nil {
		s.t.Fatalf("refused: %s", a.body)
	}
	return a.granted
}

// request asks for the identity of a job: an SSH certificate and an X.509 certificate.
func (s *service) request(token, idToken string) *api.JoinRequest {
	key := newKey(s.t)
	return &api.JoinRequest{
		Token: token, IDToken: idToken, RetryKey: "a retry key of 24 chars",
		Credentials: []api.CredentialRequest{
			{Name: "ssh", Type: api.TypeSSH, PublicKey: sshLine(s.t, key)},
			{Name: "tls", Type: api.TypeX509, Usage: api.UsageIdentity, CSR: csr(s.t, key)},
		},
	}
}

// bitbucketRequest is an honest request of an honest job, with a new ID token.
func (s *service) bitbucketRequest() *api.JoinRequest {
	s.t.Helper()
	return s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{}))
}

func (s *service) record(id string) store.Record {
	s.t.Helper()
	r, err := s.store.Join(s.t.Context(), id)
	must(s.t, err)
	return r
}

func (s *service) records() []store.Record {
	s.t.Helper()
	all, _, err := store.Gather(s.store.Joins(s.t.Context(), store.Query{}))
	must(s.t, err)
	return all
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func sshLine(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	pub, err := ssh.NewPublicKey(key.Public())
	must(t, err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
}

func decodePEM(t testing.TB, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("not PEM: %q", text)
	}
	return block.Bytes
}

func csr(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pemWith returns the certificate request a with the signature of b.
func pemWith(t testing.TB, a, b []byte) []byte {
	t.Helper()
	type request struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	var x, y request
	for text, r := range map[*[]byte]*request{&a: &x, &b: &y} {
		block, _ := pem.Decode(*text)
		_, err := asn1.Unmarshal(block.Bytes, r)
		must(t, err)
	}
	x.Signature = y.Signature
	der, err := asn1.Marshal(x)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}
