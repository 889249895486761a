package test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Jobs of both CIs join through the built functions, by events of both kinds of
// API. The first join finds no key set and has one fetched by the other function.
func TestLambdaJoins(t *testing.T) {
	w := newLambdaWorld(t)
	f := w.startJoin()
	for _, rest := range []bool{false, true} {
		f.rest = rest
		name := map[bool]string{false: "HTTP API", true: "REST API"}[rest]
		for ci, allowed := range map[string]func() *api.JoinRequest{
			"bitbucket": func() *api.JoinRequest { return w.bitbucket(issuertest.BitbucketJob{}) },
			"circleci":  func() *api.JoinRequest { return w.circleci(issuertest.CircleCIJob{}) },
		} {
			t.Run(name+" allows "+ci, func(t *testing.T) {
				answer := f.granted(allowed())
				checkGranted(t, answer)
				record := w.record(answer.JoinID)
				if record.Code != store.CodeOK || record.SourceAddr != callerAddr || len(record.Credentials) != 6 {
					t.Errorf("the record: %+v", record)
				}
			})
		}
		for ci, denied := range map[string]func() *api.JoinRequest{
			"bitbucket": func() *api.JoinRequest { return w.bitbucket(issuertest.BitbucketJob{BranchName: "feature/x"}) },
			"circleci": func() *api.JoinRequest {
				return w.circleci(issuertest.CircleCIJob{VCSOrigin: "github.com/attacker/shop"})
			},
		} {
			t.Run(name+" refuses "+ci, func(t *testing.T) {
				a := f.refused(denied(), api.CodeNoRuleMatched)
				if record := w.record(a.problem.JoinID); record.Code != string(api.CodeNoRuleMatched) || len(record.Credentials) != 0 {
					t.Errorf("the record: %+v", record)
				}
			})
		}
		if a := f.get(api.PathHealth); a.status != 200 || !strings.Contains(a.body, `"status":"ok"`) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if n := w.issuer.Requests(); n.Discovery != 2 || n.Keys != 2 {
		t.Errorf("the issuer was asked %+v, want once for each CI", n)
	}
	if log := f.emulator.Log(); !strings.Contains(log, `"Namespace":"Gatepass"`) || !strings.Contains(log, `"Code":"no_rule_matched"`) {
		t.Errorf("no metrics in the log:\n%s", log)
	}
}

// An ID token that an unknown key signed makes the other function ask the issuer, once a minute.
func TestLambdaUnknownKey(t *testing.T) {
	w := newLambdaWorld(t)
	f := w.startJoin()
	w.importKeys(2 * time.Minute)
	f.granted(w.bitbucket(issuertest.BitbucketJob{}))
	if n := w.issuer.Requests(); n.Keys != 0 {
		t.Fatalf("the issuer was asked for a key that is stored: %+v", n)
	}
	must(t, w.issuer.Rotate("next"))
	f.granted(w.bitbucket(issuertest.BitbucketJob{}))
	if n := w.issuer.Requests(); n.Keys != 1 {
		t.Errorf("the issuer was asked %+v, want once", n)
	}
	for range 3 { // the issuer was asked a moment ago: whether it has a new key is not known yet
		f.refused(w.bitbucket(issuertest.BitbucketJob{}, issuertest.WithHeader("kid", "forged")), api.CodeIssuerKeysUnavailable)
	}
	if n := w.issuer.Requests(); n.Keys != 1 {
		t.Errorf("strangers make us ask the issuer: %+v", n)
	}
	// An issuer that does not answer: nobody joins by what it never published.
	w.issuer.Misbehave(issuertest.Behaviour{Status: http.StatusInternalServerError})
	f.refused(w.circleci(issuertest.CircleCIJob{}), api.CodeIssuerKeysUnavailable)
	if log := w.refresh.Log(); !strings.Contains(log, `"RefreshFailures":1`) {
		t.Errorf("the failure is not counted:\n%s", log)
	}
}

// The schedule's event refreshes every issuer, another event one, and no event what no token names.
func TestLambdaRefresh(t *testing.T) {
	w := newLambdaWorld(t)
	invoke := func(event string) (s lambda.Summary, err error) {
		out, err := w.refresh.Invoke(t.Context(), []byte(event))
		if err == nil {
			must(t, json.Unmarshal(out, &s))
		}
		return s, err
	}
	s, err := invoke(`{}`)
	if err != nil || s.Issuers != 2 || len(s.Changed) != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, issuer := range []string{w.issuer.BitbucketURL(), w.issuer.CircleCIURL()} {
		if set, err := w.store.KeySet(t.Context(), issuer); err != nil || set.Stale(time.Now()) {
			t.Errorf("%s: %+v, %v", issuer, set, err)
		}
	}
	if s, err = invoke(`{"issuer": "` + w.issuer.CircleCIURL() + `"}`); err != nil || s.Issuers != 1 || s.Unchanged != 1 {
		t.Errorf("one: %+v, %v", s, err)
	}
	before := w.issuer.Requests()
	for _, event := range []string{`{"issuer": "https://` + w.issuer.Host() + `"}`, `{"issuer": ""}`, `{"issuer": 7}`, `null`, `[]`, `"x"`} {
		if s, err := invoke(event); err == nil {
			t.Errorf("%s: %+v", event, s)
		}
	}
	if w.issuer.Requests() != before {
		t.Error("the issuer was asked")
	}
}

func TestLambdaMalformedEvents(t *testing.T) {
	w := newLambdaWorld(t)
	f := w.startJoin()
	for _, event := range []string{
		`null`, `[]`, `1`, `"x"`, `{}`, `{"version": 2}`, `{"version": "2.0"}`, `{"version": "2.0", "rawPath": 1}`,
		`{"version": "2.0", "rawPath": "/v1/join", "requestContext": {"http": {"method": "POST"}}, "body": "%", "isBase64Encoded": true}`,
		`{"httpMethod": "POST", "path": ""}`, `{"httpMethod": "POST", "path": "/v1/join", "headers": 1}`,
	} {
		if a := f.send([]byte(event)); a.status != 400 || a.problem.Code != api.CodeMalformedRequest {
			t.Errorf("%s: %d %s", event, a.status, a.body)
		}
	}
	f.granted(w.bitbucket(issuertest.BitbucketJob{})) // it still lives
}

// kmsError is how KMS refuses.
func kmsError(name string) awstest.Fault {
	return awstest.Error(http.StatusBadRequest, name, map[string]any{"message": "refused by the test"})
}

// Whatever fails, nothing is granted, and the same request succeeds once the fault is gone.
func TestLambdaFaults(t *testing.T) {
	w := newLambdaWorld(t)
	w.functionLimit = 4 * time.Second
	w.importKeys(0)
	faults := []struct {
		name  string
		proxy *awstest.Proxy
		fault awstest.Fault
		code  api.Code
	}{
		{"KMS is throttled", w.kms, awstest.On("Sign", kmsError("ThrottlingException")), api.CodeSignerUnavailable},
		{"KMS refuses", w.kms, awstest.On("Sign", kmsError("AccessDeniedException")), api.CodeSignerUnavailable},
		{"the key is disabled", w.kms, awstest.On("Sign", kmsError("DisabledException")), api.CodeSignerUnavailable},
		{"KMS fails", w.kms, awstest.On("Sign", awstest.Error(http.StatusInternalServerError, "KMSInternalException", nil)), api.CodeSignerUnavailable},
		{"KMS does not answer", w.kms, awstest.CutBefore, api.CodeSignerUnavailable},
		{"DynamoDB is throttled", w.dynamo, awstest.Throttled, api.CodeStoreUnavailable},
		{"DynamoDB does not answer", w.dynamo, awstest.CutBefore, api.CodeStoreUnavailable},
	}
	warm := w.startJoin()
	checkGranted(t, warm.granted(w.bitbucket(issuertest.BitbucketJob{})))
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			r := w.bitbucket(issuertest.BitbucketJob{})
			tt.proxy.Set(tt.fault)
			defer tt.proxy.Set(nil)
			a := warm.refused(r, tt.code)
			if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "CERTIFICATE") || strings.Contains(a.body, "cert-v01") {
				t.Errorf("%v %s", a.header, a.body)
			}
			tt.proxy.Set(nil)
			if tt.proxy == w.kms {
				if record := w.record(a.problem.JoinID); record.Code != string(tt.code) || len(record.Credentials) != 0 {
					t.Errorf("the record tells of credentials that nobody got: %+v", record)
				}
			}
			checkGranted(t, warm.granted(r))
		})
	}
	t.Run("KMS is throttled for a moment", func(t *testing.T) {
		w.kms.Set(awstest.First(3, awstest.On("Sign", kmsError("ThrottlingException"))))
		defer w.kms.Set(nil)
		warm.granted(w.bitbucket(issuertest.BitbucketJob{}))
	})
	t.Run("a cold start while KMS refuses", func(t *testing.T) {
		cold := w.startJoin()
		w.kms.Set(kmsError("AccessDeniedException"))
		defer w.kms.Set(nil)
		r := w.circleci(issuertest.CircleCIJob{})
		cold.refused(r, api.CodeSignerUnavailable)
		if a := cold.get(api.PathAuthorities); a.status != 503 || a.problem.Code != api.CodeSignerUnavailable {
			t.Errorf("authorities: %d %s", a.status, a.body)
		}
		w.kms.Set(nil)
		checkGranted(t, cold.granted(r))
	})
}

// Of two cold starts at once that both find no certificates, one makes those that stand.
func TestLambdaRacingColdStarts(t *testing.T) {
	w := newLambdaWorld(t)
	functions := []*joinFunction{w.startJoin(), w.startJoin(), w.startJoin()}
	// All of them have read that there are none before any of them may store one.
	var puts atomic.Int32
	all := make(chan struct{})
	w.dynamo.Set(func(r awstest.Request, rw http.ResponseWriter, forward func(http.ResponseWriter)) {
		if r.Operation == "PutItem" && strings.Contains(string(marshal(t, r.Body["Item"])), "certificate/"+string(cert.X509Identity)) {
			if puts.Add(1) == int32(len(functions)) {
				close(all)
			}
			select {
			case <-all:
			case <-time.After(10 * time.Second):
			}
		}
		forward(rw)
	})
	answers := make([]lambdaAnswer, len(functions))
	var wg sync.WaitGroup
	for i, f := range functions {
		wg.Go(func() { answers[i] = f.get(api.PathAuthorities) })
	}
	wg.Wait()
	w.dynamo.Set(nil)
	if n := puts.Load(); n < int32(len(functions)) {
		t.Fatalf("%d starts stored a certificate at the same time, want %d", n, len(functions))
	}
	for _, a := range answers {
		if a.status != 200 || a.body != answers[0].body {
			t.Errorf("the starts disagree:\n%s\n%s", answers[0].body, a.body)
		}
	}
	var authorities api.Authorities
	must(t, json.Unmarshal([]byte(answers[0].body), &authorities))
	stored, err := w.store.Certificate(t.Context(), cert.X509Identity, "")
	must(t, err)
	if len(authorities.X509) != 4 || authorities.X509[api.UsageIdentity] != stored {
		t.Errorf("what is stored is not what is published: %s", answers[0].body)
	}
	for i, f := range functions {
		answer := f.granted(w.bitbucket(issuertest.BitbucketJob{}))
		checkGranted(t, answer)
		if answer.Authorities.X509[api.UsageIdentity] != stored {
			t.Errorf("function %d signs under another certificate", i)
		}
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return text
}

// A setting that is missing or wrong stops the start, and is named.
func TestLambdaSettings(t *testing.T) {
	for _, tt := range []struct{ bootstrap, env, says string }{
		{bootstrap(t, "join"), "", lambda.EnvKey(cert.SSHUser)},
		{bootstrap(t, "join"), lambda.EnvMaxTTL + "=99h", lambda.EnvMaxTTL},
		{bootstrap(t, "jwks-refresh"), "", lambda.EnvResourcesTable},
		{bootstrap(t, "jwks-refresh"), lambda.EnvConcurrency + "=many", lambda.EnvConcurrency},
	} {
		cmd := exec.CommandContext(within(t, 10*time.Second), tt.bootstrap)
		cmd.Env = []string{tt.env}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.says+": ") {
			t.Errorf("%q: %v\n%s", tt.env, err, out)
		}
	}
}

// The emulator's own failures are not taken for the function's answers.
func TestLambdaFunctionThatEnds(t *testing.T) {
	w := newLambdaWorld(t)
	e := w.start(bootstrap(t, "join"), nil)
	if out, err := e.Invoke(t.Context(), []byte(`{}`)); err == nil {
		t.Errorf("a function without settings answered %s", out)
	}
	if _, err := awstest.Build(t.Context(), t.TempDir(), "no-such-function"); err == nil {
		t.Error("a function that does not exist was built")
	}
}
