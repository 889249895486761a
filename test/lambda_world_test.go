package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
	gaterules "github.com/gatepass-ci/gatepass/pkg/rules"
)

// bootstrap is a built function.
func bootstrap(t testing.TB, function string) string {
	t.Helper()
	path, err := worldtest.SharedCloud(t).Function(function)
	lambdaMust(t, err)
	return path
}

// lambdaWorld is a deployment: tables, keys and an issuer of its own, both
// functions under emulators, and proxies that can fail in front of DynamoDB and KMS.
type lambdaWorld struct {
	t             testing.TB
	store         *dynamo.Store
	dynamo, kms   *awstest.Proxy
	issuer        *issuertest.Issuer
	refresh       *awstest.Emulator
	invocations   *httptest.Server
	joinEnv       map[string]string
	refreshEnv    map[string]string
	functionLimit time.Duration
}

func newLambdaWorld(t testing.TB) *lambdaWorld {
	t.Helper()
	cloud := worldtest.SharedCloud(t)
	w := &lambdaWorld{t: t, functionLimit: 20 * time.Second}
	var err error
	w.dynamo, err = awstest.NewProxy(cloud.DynamoDB.URL())
	lambdaMust(t, err)
	t.Cleanup(w.dynamo.Close)
	w.kms, err = awstest.NewProxy(cloud.Moto.URL())
	lambdaMust(t, err)
	t.Cleanup(w.kms.Close)
	w.issuer, err = issuertest.New(issuertest.Config{})
	lambdaMust(t, err)
	t.Cleanup(func() { _ = w.issuer.Close() })

	client := cloud.DynamoDB.Client()
	tables, err := awstest.NewTables(t.Context(), client)
	lambdaMust(t, err)
	w.store, err = dynamo.New(dynamo.Config{Client: client, Tables: tables})
	lambdaMust(t, err)
	ca := filepath.Join(t.TempDir(), "issuer-ca.pem")
	lambdaMust(t, os.WriteFile(ca, w.issuer.CA(), 0o600))
	w.refreshEnv = map[string]string{
		lambda.EnvResourcesTable: tables.Resources, lambda.EnvKeySetsTable: tables.KeySets, lambda.EnvStage: "test",
		jwks.EnvPrivateIssuers: w.issuer.Host(), jwks.EnvIssuerCA: ca,
		"AWS_ENDPOINT_URL_DYNAMODB": w.dynamo.URL(),
	}
	w.refresh = w.start(bootstrap(w.t, "jwks-refresh"), w.refreshEnv)
	w.invocations = awstest.Invocations(map[string]*awstest.Emulator{"jwks-refresh": w.refresh})
	t.Cleanup(w.invocations.Close)
	w.joinEnv = map[string]string{
		lambda.EnvResourcesTable: tables.Resources, lambda.EnvKeySetsTable: tables.KeySets, lambda.EnvJoinsTable: tables.Joins,
		lambda.EnvPublicURL: "https://join.example.com", lambda.EnvStage: "test", lambda.EnvRefresher: "jwks-refresh",
		"AWS_ENDPOINT_URL_DYNAMODB": w.dynamo.URL(), "AWS_ENDPOINT_URL_KMS": w.kms.URL(), "AWS_ENDPOINT_URL_LAMBDA": w.invocations.URL,
	}
	keys := kms.NewClient(awstest.DynamoDBConfig(cloud.Moto.URL()))
	for _, p := range cert.Purposes() {
		w.joinEnv[lambda.EnvKey(p)], err = awstest.NewKey(t.Context(), keys)
		lambdaMust(t, err)
	}
	w.apply(lambdaRules(w.issuer))
	return w
}

func lambdaMust(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lambdaRules are the rules of the other tests, for an issuer that is served here.
func lambdaRules(issuer *issuertest.Issuer) string {
	return strings.NewReplacer(
		"https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", issuer.BitbucketURL(),
		"    organization_id: 00000000-0000-0000-0000-000000000001\n",
		"    organization_id: 00000000-0000-0000-0000-000000000001\n    issuer: "+issuer.CircleCIURL()+"\n",
	).Replace(rules)
}

func (w *lambdaWorld) apply(yaml string) {
	w.t.Helper()
	documents, _, err := gaterules.Parse("test.yaml", []byte(yaml))
	lambdaMust(w.t, err)
	var wanted []gaterules.Resource
	for _, d := range documents {
		wanted = append(wanted, d.Resource)
	}
	state, err := admin.Read(w.t.Context(), w.store)
	lambdaMust(w.t, err)
	steps, err := state.Plan(wanted)
	lambdaMust(w.t, err)
	_, err = admin.Execute(w.t.Context(), w.store, steps, time.Now())
	lambdaMust(w.t, err)
}

// start starts a function under an emulator; it is cold until its first event.
func (w *lambdaWorld) start(bootstrap string, env map[string]string) *awstest.Emulator {
	w.t.Helper()
	e, err := awstest.StartEmulator(awstest.EmulatorConfig{Bootstrap: bootstrap, Env: recorded(w.t, bootstrap, env), Timeout: w.functionLimit})
	worldtest.Needed(w.t, err)
	w.t.Cleanup(func() {
		e.Stop()
		log := e.Log()
		if strings.Contains(log, "eyJ") || strings.Contains(log, "PRIVATE KEY") {
			w.t.Error("the log holds a secret")
		}
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", filepath.Base(filepath.Dir(bootstrap)), log)
		}
	})
	return e
}

// joinFunction is the function join under an emulator.
type joinFunction struct {
	*lambdaWorld
	emulator *awstest.Emulator
	rest     bool // events of a REST API
}

func (w *lambdaWorld) startJoin() *joinFunction {
	w.t.Helper()
	return &joinFunction{lambdaWorld: w, emulator: w.start(bootstrap(w.t, "join"), w.joinEnv)}
}

// lambdaAnswer is what API Gateway would send to the caller.
type lambdaAnswer struct {
	status  int
	header  http.Header
	body    string
	granted *api.JoinResponse
	problem *api.Problem
}

const callerAddr = "192.0.2.7"

// event is a request as API Gateway hands it over. The caller has forged a header.
func (f *joinFunction) event(method, path, body string) []byte {
	f.t.Helper()
	forged := "203.0.113.66, " + callerAddr
	e := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
		"headers": map[string]string{"content-type": "application/json", "host": "join.example.com", "x-forwarded-for": forged},
		"requestContext": map[string]any{"stage": "$default", "requestId": "1",
			"http": map[string]string{"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": callerAddr}},
		"body": body, "isBase64Encoded": false,
	}
	if f.rest {
		e = map[string]any{
			"resource": "/{proxy+}", "path": path, "httpMethod": method,
			"headers":           map[string]string{"Content-Type": "application/json", "X-Forwarded-For": forged},
			"multiValueHeaders": map[string][]string{"Content-Type": {"application/json"}, "X-Forwarded-For": {forged}},
			"requestContext": map[string]any{"stage": "prod", "path": "/prod" + path, "httpMethod": method,
				"identity": map[string]string{"sourceIp": callerAddr}},
			"body": body, "isBase64Encoded": false,
		}
	}
	event, err := json.Marshal(e)
	lambdaMust(f.t, err)
	return event
}

func (f *joinFunction) send(event []byte) lambdaAnswer {
	f.t.Helper()
	out, err := f.emulator.Invoke(f.t.Context(), event)
	lambdaMust(f.t, err)
	var e struct {
		StatusCode        int
		Headers           map[string]string
		MultiValueHeaders http.Header
		Body              string
	}
	lambdaMust(f.t, json.Unmarshal(out, &e))
	a := lambdaAnswer{status: e.StatusCode, header: e.MultiValueHeaders, body: e.Body}
	if a.header == nil {
		a.header = http.Header{}
	}
	for name, value := range e.Headers {
		a.header.Set(name, value)
	}
	if a.status != http.StatusOK {
		if ct := a.header.Get("Content-Type"); ct != api.ProblemContentType {
			f.t.Fatalf("status %d of type %q: %s", a.status, ct, a.body)
		}
		a.problem = &api.Problem{}
		lambdaMust(f.t, json.Unmarshal([]byte(a.body), a.problem))
	}
	return a
}

func (f *joinFunction) get(path string) lambdaAnswer {
	f.t.Helper()
	return f.send(f.event(http.MethodGet, path, ""))
}

func (f *joinFunction) join(r *api.JoinRequest) lambdaAnswer {
	f.t.Helper()
	body, err := json.Marshal(r)
	lambdaMust(f.t, err)
	a := f.send(f.event(http.MethodPost, api.PathJoin, string(body)))
	if a.status == http.StatusOK {
		a.granted = &api.JoinResponse{}
		lambdaMust(f.t, json.Unmarshal([]byte(a.body), a.granted))
	}
	return a
}

// granted joins and fails the test if it is refused.
func (f *joinFunction) granted(r *api.JoinRequest) *api.JoinResponse {
	f.t.Helper()
	a := f.join(r)
	if a.granted == nil {
		f.t.Fatalf("refused: %s", a.body)
	}
	return a.granted
}

// refused joins and fails the test unless it is refused by this code.
func (f *joinFunction) refused(r *api.JoinRequest, code api.Code) lambdaAnswer {
	f.t.Helper()
	a := f.join(r)
	if a.problem == nil || a.problem.Code != code || a.status != code.Status() {
		f.t.Errorf("answered %d %s, want %s", a.status, a.body, code)
	}
	return a
}

// request asks for a credential of each kind, with a new key.
func (w *lambdaWorld) request(rule, idToken string) *api.JoinRequest {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	lambdaMust(w.t, err)
	pub, err := ssh.NewPublicKey(key.Public())
	lambdaMust(w.t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	lambdaMust(w.t, err)
	csr := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return &api.JoinRequest{Token: rule, IDToken: idToken, RetryKey: rand.Text(), Credentials: []api.CredentialRequest{
		{Name: "ssh", Type: api.TypeSSH, PublicKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))},
		{Name: api.UsageIdentity, Type: api.TypeX509, Usage: api.UsageIdentity, CSR: csr},
		{Name: api.UsageDatabase, Type: api.TypeX509, Usage: api.UsageDatabase, DBUser: "app", DBName: "orders", CSR: csr},
		{Name: api.UsageApplication, Type: api.TypeX509, Usage: api.UsageApplication, App: "grafana", CSR: csr},
		{Name: api.UsageKubernetes, Type: api.TypeX509, Usage: api.UsageKubernetes, KubernetesUser: "ci", CSR: csr},
		{Name: "vault", Type: api.TypeJWT, Audience: "https://vault.example.com"},
	}}
}

func (w *lambdaWorld) bitbucket(job issuertest.BitbucketJob, options ...issuertest.Option) *api.JoinRequest {
	w.t.Helper()
	token, err := w.issuer.Bitbucket(job, options...)
	lambdaMust(w.t, err)
	return w.request("bitbucket", token)
}

func (w *lambdaWorld) circleci(job issuertest.CircleCIJob, options ...issuertest.Option) *api.JoinRequest {
	w.t.Helper()
	token, err := w.issuer.CircleCI(job, options...)
	lambdaMust(w.t, err)
	return w.request("circleci", token)
}

func (w *lambdaWorld) record(id string) store.Record {
	w.t.Helper()
	r, err := w.store.Join(w.t.Context(), id)
	lambdaMust(w.t, err)
	return r
}

// importKeys stores the issuer's keys of now as if they had been fetched age ago.
func (w *lambdaWorld) importKeys(age time.Duration) {
	w.t.Helper()
	keys, err := w.issuer.JWKS()
	lambdaMust(w.t, err)
	at := time.Now().Add(-age)
	for _, issuer := range []string{w.issuer.BitbucketURL(), w.issuer.CircleCIURL()} {
		lambdaMust(w.t, w.store.PutKeySet(w.t.Context(), store.KeySet{Issuer: issuer, JWKS: keys, FetchedAt: at, TriedAt: at}))
	}
}

// checkGranted checks that stock verifiers accept what was granted.
func checkGranted(t *testing.T, answer *api.JoinResponse) {
	t.Helper()
	line, _, _, _, err := ssh.ParseAuthorizedKey([]byte(named(t, *answer, "ssh").Certificate))
	must(t, err)
	authority, _, _, _, err := ssh.ParseAuthorizedKey([]byte(answer.Authorities.SSHUser[0]))
	must(t, err)
	checker := ssh.CertChecker{IsUserAuthority: func(key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), authority.Marshal()) }}
	certificate := line.(*ssh.Certificate)
	if !checker.IsUserAuthority(certificate.SignatureKey) || !slices.Equal(certificate.ValidPrincipals, []string{"deploy"}) {
		t.Errorf("the SSH certificate is for %v", certificate.ValidPrincipals)
	}
	must(t, checker.CheckCert("deploy", certificate))
	for usage, ca := range answer.Authorities.X509 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(ca)) {
			t.Fatalf("no certificate of authority %s", usage)
		}
		leaf, err := cert.ParseCertificatePEM(named(t, *answer, usage).Certificate)
		must(t, err)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", usage, err)
		}
	}
	if len(answer.Authorities.X509) != 4 || named(t, *answer, "vault").Token == "" {
		t.Errorf("authorities %v", answer.Authorities.X509)
	}
}
