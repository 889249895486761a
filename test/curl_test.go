package test

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

const rules = `
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
metadata: {name: bitbucket}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  max_joins: 2
  bitbucket:
    identity_provider_url: https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow:
      - repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"
        branch_name: main
---
kind: token
version: v2
metadata: {name: circleci}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  max_joins: 2
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    allow:
      - context_id: 00000000-0000-0000-0000-000000000002
        vcs_origin: github.com/acme/shop
`

// newWorld starts a service with the rules above.
func newWorld(t *testing.T) *worldtest.World {
	t.Helper()
	w := worldtest.Local(t)
	w.Apply(rules)
	return w
}

// job is a key pair with a certificate request, made by the programs that people use.
type job struct{ dir, key, pub, csr string }

func newJob(t *testing.T) job {
	t.Helper()
	dir := t.TempDir()
	j := job{dir: dir, key: filepath.Join(dir, "key")}
	output(t, need(t, "ssh-keygen"), "-q", "-t", "ecdsa", "-b", "256", "-m", "PEM", "-N", "", "-f", j.key)
	output(t, need(t, "openssl"), "req", "-new", "-key", j.key, "-subj", "/CN=ignored", "-out", j.key+".csr")
	pub, err := os.ReadFile(j.key + ".pub")
	must(t, err)
	csr, err := os.ReadFile(j.key + ".csr")
	must(t, err)
	j.pub, j.csr = strings.TrimSpace(string(pub)), string(csr)
	return j
}

// curl posts a join of every kind of credential and returns the answer.
func (j job) curl(t *testing.T, s *worldtest.Serve, rule, idToken string, ttl int64) (answer api.JoinResponse) {
	t.Helper()
	request := api.JoinRequest{Token: rule, IDToken: idToken, TTLSeconds: &ttl, Credentials: []api.CredentialRequest{
		{Name: "ssh", Type: api.TypeSSH, PublicKey: j.pub},
		{Name: api.UsageIdentity, Type: api.TypeX509, Usage: api.UsageIdentity, CSR: j.csr},
		{Name: api.UsageDatabase, Type: api.TypeX509, Usage: api.UsageDatabase, DBUser: "app", DBName: "orders", CSR: j.csr},
		{Name: api.UsageApplication, Type: api.TypeX509, Usage: api.UsageApplication, App: "grafana", CSR: j.csr},
		{Name: api.UsageKubernetes, Type: api.TypeX509, Usage: api.UsageKubernetes, KubernetesUser: "ci", CSR: j.csr},
		{Name: "vault", Type: api.TypeJWT, Audience: "https://vault.example.com"},
	}}
	body, err := json.Marshal(request)
	must(t, err)
	file := write(t, j.dir, "request.json", string(body)) // a file: arguments can be seen by others
	out := output(t, need(t, "curl"), "-sS", "--fail-with-body", "-H", "Content-Type: application/json", "--data-binary", "@"+file, s.URL+api.PathJoin)
	must(t, json.Unmarshal([]byte(out), &answer))
	return answer
}

func named(t *testing.T, answer api.JoinResponse, name string) api.Credential {
	t.Helper()
	for _, c := range answer.Credentials {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no credential %q", name)
	return api.Credential{}
}

// A token of each CI's true shape joins with curl, and stock programs accept what comes back.
func TestCurlJoin(t *testing.T) {
	w := newWorld(t)
	s, issuer := w.Serve, w.Issuer
	for name, mint := range map[string]func() (string, error){
		"bitbucket": func() (string, error) { return issuer.Bitbucket(issuertest.BitbucketJob{}) },
		"circleci":  func() (string, error) { return issuer.CircleCI(issuertest.CircleCIJob{}) },
	} {
		t.Run(name, func(t *testing.T) {
			token, err := mint()
			must(t, err)
			j := newJob(t)
			answer := j.curl(t, s, name, token, 600)
			checkSSHKeygen(t, j, answer)
			checkOpenSSL(t, s, j, answer)
			checkPublishedKeys(t, s, answer)
		})
	}
}

func checkSSHKeygen(t *testing.T, j job, answer api.JoinResponse) {
	t.Helper()
	file := write(t, j.dir, "key-cert.pub", named(t, answer, "ssh").Certificate+"\n")
	shown := output(t, need(t, "ssh-keygen"), "-L", "-f", file)
	for _, want := range []string{"user certificate", `Key ID: "gatepass:example:` + answer.JoinID + `"`, "deploy"} {
		if !strings.Contains(shown, want) {
			t.Errorf("ssh-keygen -L does not show %q:\n%s", want, shown)
		}
	}
}

func checkOpenSSL(t *testing.T, s *worldtest.Serve, j job, answer api.JoinResponse) {
	t.Helper()
	openssl := need(t, "openssl")
	usages := []string{api.UsageIdentity, api.UsageDatabase, api.UsageApplication, api.UsageKubernetes}
	for _, signed := range usages {
		leaf := write(t, j.dir, signed+".pem", named(t, answer, signed).Certificate)
		for _, usage := range usages {
			ca := write(t, j.dir, usage+"-ca.pem", s.Ctl("ca", "export", "--type", "x509-"+usage))
			out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", ca, leaf).CombinedOutput()
			if (err == nil) != (usage == signed) {
				t.Errorf("a certificate of the %s authority under that for %s: %v %s", signed, usage, err, out)
			}
		}
	}
}

func checkPublishedKeys(t *testing.T, s *worldtest.Serve, answer api.JoinResponse) {
	t.Helper()
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	curl := need(t, "curl")
	must(t, json.Unmarshal([]byte(output(t, curl, "-sSf", s.URL+api.PathDiscovery)), &discovery))
	keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(output(t, curl, "-sSf", discovery.JWKSURI)))
	must(t, err)
	_, err = jwt.Parse(named(t, answer, "vault").Token, keys.Keyfunc, jwt.WithIssuer(discovery.Issuer),
		jwt.WithAudience("https://vault.example.com"), jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired())
	must(t, err)
}

// A real sshd lets deploy in and refuses root; once the certificate has ended it refuses both.
func TestRealSSHD(t *testing.T) {
	ssh := need(t, "ssh")
	w := newWorld(t)
	s, issuer := w.Serve, w.Issuer
	server := w.SSHD(t, "")
	token, err := issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	j := newJob(t)
	const lifetime = 8
	answer := j.curl(t, s, "bitbucket", token, lifetime)
	write(t, j.dir, "key-cert.pub", named(t, answer, "ssh").Certificate+"\n")

	_, port, err := net.SplitHostPort(server.Addr())
	must(t, err)
	login := func(user string) (string, error) {
		out, err := exec.CommandContext(within(t, 30*time.Second), ssh, "-F", "none", "-p", port, "-i", j.key,
			"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			user+"@127.0.0.1", "echo", "hello", "world").CombinedOutput()
		return string(out), err
	}
	if out, err := login("deploy"); err != nil || !strings.Contains(out, "hello world") {
		t.Errorf("deploy was refused: %v\n%s", err, out)
	}
	if out, err := login("root"); err == nil {
		t.Errorf("root was let in:\n%s", out)
	}
	time.Sleep(time.Until(answer.ExpiresAt) + time.Second)
	for _, user := range []string{"deploy", "root"} {
		if out, err := login(user); err == nil {
			t.Errorf("%s was let in after the certificate had ended:\n%s", user, out)
		}
	}
	must(t, server.WaitLog(within(t, 5*time.Second), "expired"))
}
