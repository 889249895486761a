package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// refreshWorld is the handler of jwks-refresh over an issuer and a store.
type refreshWorld struct {
	*lambda.Refresh
	t        *testing.T
	issuer   *issuertest.Issuer
	store    *sqlite.Store
	now      time.Time
	out, log *bytes.Buffer
}

// newRefreshWorld has token rules for both CIs of the issuer.
func newRefreshWorld(t *testing.T) *refreshWorld {
	t.Helper()
	w := &refreshWorld{t: t, issuer: newIssuer(t), now: time.Now(), out: &bytes.Buffer{}, log: &bytes.Buffer{}}
	var err error
	w.store, err = sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	roots, err := jwks.Roots(w.issuer.CA())
	must(t, err)
	client, err := jwks.NewHTTPClient(jwks.ClientConfig{PrivateIssuers: []string{w.issuer.Host()}, RootCAs: roots})
	must(t, err)
	now := func() time.Time { return w.now }
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	w.Refresh = &lambda.Refresh{
		Store: w.store, Refresher: jwks.New(jwks.Config{Store: w.store, HTTP: client, Now: now, Log: log}),
		Metrics: lambda.NewMetrics("test", now, w.out), Now: now, Log: log,
	}
	documents, _, err := rules.Parse("test.yaml", []byte(`
kind: token
version: v2
metadata: {name: bitbucket}
spec:
  roles: [Bot]
  join_method: bitbucket
  bot_name: example
  bitbucket:
    identity_provider_url: `+w.issuer.BitbucketURL()+`
    audience: ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d
    allow: [{repository_uuid: "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"}]
---
kind: token
version: v2
metadata: {name: circleci}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
    issuer: `+w.issuer.CircleCIURL()+`
    allow: [{context_id: 00000000-0000-0000-0000-000000000002}]
`))
	must(t, err)
	var wanted []rules.Resource
	for _, d := range documents {
		wanted = append(wanted, d.Resource)
	}
	state, err := admin.Read(t.Context(), w.store)
	must(t, err)
	steps, err := state.Plan(wanted)
	must(t, err)
	_, err = admin.Execute(t.Context(), w.store, steps, w.now)
	must(t, err)
	return w
}

func (w *refreshWorld) handle(event string) (*lambda.Summary, error) {
	w.t.Helper()
	w.out.Reset()
	return w.Handle(w.t.Context(), json.RawMessage(event))
}

// counted returns a metric of the last refresh; -1 if it was not written.
func (w *refreshWorld) counted(name string) int {
	w.t.Helper()
	if w.out.Len() == 0 {
		return -1
	}
	var line map[string]any
	must(w.t, json.Unmarshal(w.out.Bytes(), &line))
	n, ok := line[name].(float64)
	if !ok {
		return -1
	}
	return int(n)
}

func TestRefreshAll(t *testing.T) {
	w := newRefreshWorld(t)
	s, err := w.handle(`{}`)
	must(t, err)
	if s.Issuers != 2 || len(s.Changed) != 2 || s.Changed[0].Keys != 1 || len(s.Changed[0].Added) != 1 || len(s.Failed)+len(s.Stale) > 0 {
		t.Errorf("the first: %+v", s)
	}
	if !strings.Contains(w.log.String(), `"summary":{"issuers":2`) {
		t.Errorf("the summary is not in the log: %s", w.log)
	}
	w.now = w.now.Add(time.Minute)
	if s, err = w.handle(`{"source": "aws.scheduler", "time": "2026-01-15T12:00:00Z"}`); err != nil || s.Unchanged != 2 || len(s.Changed) > 0 {
		t.Errorf("the second: %+v, %v", s, err)
	}
	must(t, w.issuer.Rotate("next"))
	w.now = w.now.Add(time.Minute)
	s, err = w.handle(`{}`)
	must(t, err)
	if len(s.Changed) != 2 || !slices.Equal(s.Changed[0].Added, []string{"next"}) || len(s.Changed[0].Removed) != 1 {
		t.Errorf("after a rotation: %+v", s)
	}
	if w.counted(lambda.MetricRefreshFailures) != 0 || w.counted(lambda.MetricStaleKeySets) != 0 {
		t.Errorf("metrics %s", w.out)
	}
}

func TestRefreshFails(t *testing.T) {
	w := newRefreshWorld(t)
	_, err := w.handle(`{}`)
	must(t, err)
	w.issuer.Misbehave(issuertest.Behaviour{EmptyKeySet: true})
	w.now = w.now.Add(time.Hour)
	s, err := w.handle(`{}`)
	if err == nil || !strings.Contains(err.Error(), "none of 2 issuers") {
		t.Errorf("all failed: %v", err)
	}
	if len(s.Failed) != 2 || s.Failed[0].Reason == "" || len(s.Stale) != 0 || w.counted(lambda.MetricRefreshFailures) != 2 || w.counted(lambda.MetricStaleKeySets) != 0 {
		t.Errorf("%+v, %s", s, w.out)
	}
	w.now = w.now.Add(store.MaxKeySetAge)
	if s, _ = w.handle(`{}`); len(s.Stale) != 2 || w.counted(lambda.MetricStaleKeySets) != 2 {
		t.Errorf("a day later: %+v, %s", s, w.out)
	}
	// One that fails does not make the whole refresh fail.
	w.issuer.Behave()
	keys, err := w.issuer.JWKS()
	must(t, err)
	_, _, err = jwks.Import(t.Context(), w.store, w.issuer.BitbucketURL(), keys, w.now)
	must(t, err)
	w.issuer.Misbehave(issuertest.Behaviour{EmptyKeySet: true})
	s, err = w.handle(`{}`)
	must(t, err)
	if s.Unchanged != 1 || len(s.Failed) != 1 || s.Failed[0].Issuer != w.issuer.CircleCIURL() {
		t.Errorf("one pinned, one failing: %+v", s)
	}
}

func TestRefreshOne(t *testing.T) {
	w := newRefreshWorld(t)
	event := func(issuer string) string {
		text, err := json.Marshal(map[string]string{"issuer": issuer})
		must(t, err)
		return string(text)
	}
	s, err := w.handle(event(w.issuer.CircleCIURL()))
	must(t, err)
	if s.Issuers != 1 || len(s.Changed) != 1 || s.Changed[0].Issuer != w.issuer.CircleCIURL() {
		t.Errorf("%+v", s)
	}
	if _, err := w.store.KeySet(t.Context(), w.issuer.BitbucketURL()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the other issuer was asked too: %v", err)
	}
	before := w.issuer.Requests()
	for _, stranger := range []string{"https://attacker.example.com", w.issuer.CircleCIURL() + "/", strings.ToUpper(w.issuer.CircleCIURL())} {
		if _, err := w.handle(event(stranger)); err == nil || !strings.Contains(err.Error(), "no token rule names") {
			t.Errorf("%s: %v", stranger, err)
		}
	}
	if after := w.issuer.Requests(); after != before {
		t.Errorf("an issuer was dialed that no token names: %+v, %+v", before, after)
	}
	w.issuer.Misbehave(issuertest.Behaviour{EmptyKeySet: true})
	if _, err := w.handle(event(w.issuer.CircleCIURL())); err == nil {
		t.Error("a failure is no error")
	}
}

func TestRefreshEvents(t *testing.T) {
	w := newRefreshWorld(t)
	for _, event := range []string{``, `null`, `[]`, `"all"`, `1`, `{"issuer": ""}`, `{"issuer": 1}`, `{"issuer": ["https://a.example.com"]}`, `{`} {
		if s, err := w.handle(event); err == nil {
			t.Errorf("%q: %+v, want an error", event, s)
		}
	}
	if n := w.issuer.Requests(); n.Discovery+n.Keys+n.Other != 0 {
		t.Errorf("an issuer was asked: %+v", n)
	}
}

// invokerFunc stands for the Lambda service.
type invokerFunc func(*awslambda.InvokeInput) (*awslambda.InvokeOutput, error)

func (f invokerFunc) Invoke(_ context.Context, in *awslambda.InvokeInput, _ ...func(*awslambda.Options)) (*awslambda.InvokeOutput, error) {
	return f(in)
}

func TestRefresher(t *testing.T) {
	ask := func(f invokerFunc) error {
		return lambda.NewRefresher(f, "jwks-refresh").Refresh(t.Context(), "https://issuer.example.com")
	}
	must(t, ask(func(in *awslambda.InvokeInput) (*awslambda.InvokeOutput, error) {
		if *in.FunctionName != "jwks-refresh" || string(in.Payload) != `{"issuer":"https://issuer.example.com"}` || in.InvocationType != "RequestResponse" {
			t.Errorf("invoked %s %s %s", *in.FunctionName, in.InvocationType, in.Payload)
		}
		return &awslambda.InvokeOutput{StatusCode: 200, Payload: []byte(`{"issuers":1}`)}, nil
	}))
	down := errors.New("down")
	if err := ask(func(*awslambda.InvokeInput) (*awslambda.InvokeOutput, error) { return nil, down }); !errors.Is(err, down) {
		t.Errorf("Lambda is down: %v", err)
	}
	for payload, says := range map[string]string{
		`{"errorType":"errorString","errorMessage":"no token rule names it"}`: "no token rule names it",
		`{}`: "look at its log", `x`: "look at its log", ``: "look at its log",
	} {
		err := ask(func(*awslambda.InvokeInput) (*awslambda.InvokeOutput, error) {
			return &awslambda.InvokeOutput{StatusCode: 200, FunctionError: aws.String("Unhandled"), Payload: []byte(payload)}, nil
		})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the function failed with %q: %v", payload, err)
		}
	}
}
