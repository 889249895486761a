package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/lambda"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// seen is what a handler got.
type seen struct {
	Method, Path, Query, Body, Addr string
	Header                          http.Header
}

// spy notes the request and answers 200 with two cookies.
func spy(got *seen) http.Handler {
	addr := server.SourceAddr(nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = seen{r.Method, r.URL.Path, r.URL.RawQuery, string(body), addr(r).String(), r.Header}
		w.Header().Add("Vary", "a")
		w.Header().Add("Vary", "b")
		w.Write([]byte("hello"))
	})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// answer is an answer of either version.
type answer struct {
	StatusCode        int
	Headers           map[string]string
	MultiValueHeaders map[string][]string
	Body              string
	IsBase64Encoded   bool
}

func invoke(t testing.TB, h *lambda.HTTP, event string) answer {
	t.Helper()
	return invokeWithin(t, t.Context(), h, event)
}

func invokeWithin(t testing.TB, ctx context.Context, h *lambda.HTTP, event string) (a answer) {
	t.Helper()
	out, err := h.Invoke(ctx, []byte(event))
	must(t, err)
	must(t, json.Unmarshal(out, &a))
	return a
}

// change returns a JSON object with members of another laid over it, at every depth.
func change(t testing.TB, object, over string) string {
	t.Helper()
	var a, b map[string]any
	must(t, json.Unmarshal([]byte(object), &a))
	must(t, json.Unmarshal([]byte(over), &b))
	var lay func(a, b map[string]any)
	lay = func(a, b map[string]any) {
		for name, value := range b {
			if inner, ok := value.(map[string]any); ok {
				if old, ok := a[name].(map[string]any); ok {
					lay(old, inner)
					continue
				}
			}
			a[name] = value
		}
	}
	lay(a, b)
	out, err := json.Marshal(a)
	must(t, err)
	return string(out)
}

func example(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	return string(text)
}

func TestEvents(t *testing.T) {
	v1, v2 := example(t, "rest-v1.json"), example(t, "http-v2.json")
	base := seen{Method: "POST", Path: "/v1/join", Body: `{"a":1}`, Addr: "192.0.2.7"}
	with := func(change func(*seen)) seen { s := base; change(&s); return s }
	tests := []struct {
		name, event, publicURL string
		want                   seen
	}{
		{"HTTP API", v2, "", base},
		{"REST API", v1, "", base},
		{"HTTP API with a stage in the path", change(t, v2, `{"rawPath": "/prod/v1/join", "requestContext": {"stage": "prod"}}`), "", base},
		{"HTTP API with a stage behind a custom domain", change(t, v2, `{"requestContext": {"stage": "prod"}}`), "", base},
		{"HTTP API with a base path", change(t, v2, `{"rawPath": "/gate/v1/join"}`), "https://example.com/gate", base},
		{"REST API with a base path", change(t, v1, `{"path": "/gate/v1/join"}`), "https://example.com/gate", base},
		{"REST API, its stage is in the public URL only", v1, "https://x.execute-api.eu-central-1.amazonaws.com/prod", base},
		{"a base path is whole segments", change(t, v2, `{"rawPath": "/gateway/v1/join"}`), "https://example.com/gate",
			with(func(s *seen) { s.Path = "/gateway/v1/join" })},
		{"HTTP API, base64", change(t, v2, `{"body": "eyJhIjoxfQ==", "isBase64Encoded": true}`), "", base},
		{"REST API, base64", change(t, v1, `{"body": "eyJhIjoxfQ==", "isBase64Encoded": true}`), "", base},
		{"HTTP API, IPv6", change(t, v2, `{"requestContext": {"http": {"sourceIp": "2001:db8::7"}}}`), "", with(func(s *seen) { s.Addr = "2001:db8::7" })},
		{"REST API, IPv6", change(t, v1, `{"requestContext": {"identity": {"sourceIp": "2001:db8::7"}}}`), "", with(func(s *seen) { s.Addr = "2001:db8::7" })},
		{"HTTP API, no address", change(t, v2, `{"requestContext": {"http": {"sourceIp": ""}}}`), "", with(func(s *seen) { s.Addr = "invalid IP" })},
		{"REST API, an address that is none", change(t, v1, `{"requestContext": {"identity": {"sourceIp": "test-invoke-source-ip"}}}`), "",
			with(func(s *seen) { s.Addr = "invalid IP" })},
		{"HTTP API, no body", change(t, v2, `{"body": null}`), "", with(func(s *seen) { s.Body = "" })},
		{"REST API, no body", change(t, v1, `{"body": null}`), "", with(func(s *seen) { s.Body = "" })},
		{"HTTP API, a query", change(t, v2, `{"rawQueryString": "a=1&a=2&b=%20"}`), "", with(func(s *seen) { s.Query = "a=1&a=2&b=%20" })},
		{"REST API, a query", change(t, v1, `{"queryStringParameters": {"a": "2"}, "multiValueQueryStringParameters": {"a": ["1", "2"]}}`), "",
			with(func(s *seen) { s.Query = "a=1&a=2" })},
		{"REST API, plain headers only", change(t, v1, `{"multiValueHeaders": null}`), "", base},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got seen
			a := invoke(t, lambda.NewHTTP(spy(&got), tt.publicURL, quiet()), tt.event)
			if a.StatusCode != 200 || a.Body != "hello" || a.IsBase64Encoded {
				t.Fatalf("answer %+v", a)
			}
			if ct := got.Header.Get("Content-Type"); ct != "application/json" {
				t.Errorf("content type %q", ct)
			}
			got.Header = nil
			if got.Method != tt.want.Method || got.Path != tt.want.Path || got.Query != tt.want.Query || got.Body != tt.want.Body || got.Addr != tt.want.Addr {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// The events' X-Forwarded-For begins with an address that the caller wrote.
func TestForwardedHeadersAreNotBelieved(t *testing.T) {
	for _, name := range []string{"rest-v1.json", "http-v2.json"} {
		event := example(t, name)
		if !strings.Contains(strings.ToLower(event), `"x-forwarded-for": "203.0.113.66`) {
			t.Fatalf("%s has no forged header", name)
		}
		var got seen
		invoke(t, lambda.NewHTTP(spy(&got), "", quiet()), event)
		if got.Addr != "192.0.2.7" {
			t.Errorf("%s: the caller is %s", name, got.Addr)
		}
	}
}

func TestAnswers(t *testing.T) {
	var got seen
	h := lambda.NewHTTP(spy(&got), "", quiet())
	if a := invoke(t, h, example(t, "http-v2.json")); a.Headers["Vary"] != "a,b" || a.MultiValueHeaders != nil {
		t.Errorf("payload 2.0: %+v", a)
	}
	if a := invoke(t, h, example(t, "rest-v1.json")); !slices.Equal(a.MultiValueHeaders["Vary"], []string{"a", "b"}) || len(a.Headers) > 0 {
		t.Errorf("payload 1.0: %+v", a)
	}
	if a := invoke(t, h, change(t, example(t, "http-v2.json"), `{"requestContext": {"http": {"method": "HEAD"}}}`)); a.StatusCode != 200 || a.Body != "" {
		t.Errorf("HEAD: %+v", a)
	}
	binary := lambda.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("Late", "it is sent already")
		w.WriteHeader(http.StatusOK)
		w.Write([]byte{0xff, 0x00})
	}), "", quiet())
	if a := invoke(t, binary, example(t, "http-v2.json")); a.StatusCode != 418 || a.Body != "/wA=" || !a.IsBase64Encoded || len(a.Headers) != 0 {
		t.Errorf("bytes that are no text: %+v", a)
	}
}

// malformed are events that no API Gateway sends.
func malformed(t testing.TB) map[string]string {
	v1, v2 := example(t, "rest-v1.json"), example(t, "http-v2.json")
	return map[string]string{
		"nothing": ``, "null": `null`, "a number": `1`, "a string": `"POST"`, "a list": `[]`, "no JSON": `{"version": "2.0"`,
		"an empty object": `{}`, "a schedule's": `{"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {}}`,
		"a version only":         `{"version": "2.0"}`,
		"another version":        `{"version": "3.0", "rawPath": "/v1/join"}`,
		"a version of no string": change(t, v2, `{"version": 2}`),
		"headers of no strings":  change(t, v2, `{"headers": {"content-type": 1}}`),
		"headers as a list":      change(t, v1, `{"headers": []}`),
		"a body of no string":    change(t, v2, `{"body": {"a": 1}}`),
		"body not base64":        change(t, v2, `{"body": "{}", "isBase64Encoded": true}`),
		"REST body not base64":   change(t, v1, `{"body": "{}", "isBase64Encoded": true}`),
		"no method":              change(t, v2, `{"requestContext": {"http": {"method": ""}}}`),
		"no path":                change(t, v1, `{"path": ""}`),
		"a path without a slash": change(t, v2, `{"rawPath": "v1/join"}`),
	}
}

func TestMalformedEvents(t *testing.T) {
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was reached") })
	h := lambda.NewHTTP(reached, "", quiet())
	for name, event := range malformed(t) {
		t.Run(name, func(t *testing.T) {
			a := invoke(t, h, event)
			var p api.Problem
			must(t, json.Unmarshal([]byte(a.Body), &p))
			contentType := append(a.MultiValueHeaders["Content-Type"], a.Headers["Content-Type"])[0]
			if a.StatusCode != 400 || p.Code != api.CodeMalformedRequest || contentType != api.ProblemContentType {
				t.Errorf("%+v", a)
			}
		})
	}
}

func FuzzInvoke(f *testing.F) {
	for _, event := range malformed(f) {
		f.Add([]byte(event))
	}
	f.Add([]byte(example(f, "rest-v1.json")))
	f.Add([]byte(example(f, "http-v2.json")))
	var got seen
	h := lambda.NewHTTP(spy(&got), "https://example.com/gate", quiet())
	f.Fuzz(func(t *testing.T, event []byte) {
		out, err := h.Invoke(t.Context(), event)
		must(t, err)
		var a answer
		must(t, json.Unmarshal(out, &a))
		if a.StatusCode != 200 && a.StatusCode != 400 {
			t.Errorf("status %d", a.StatusCode)
		}
	})
}

func TestPanic(t *testing.T) {
	for name, value := range map[string]any{"of any kind": "fault", "that aborts": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := lambda.NewHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(value) }), "",
				slog.New(slog.NewJSONHandler(&log, nil)))
			if a := invoke(t, h, example(t, "http-v2.json")); a.StatusCode != 500 || !strings.Contains(a.Body, string(api.CodeInternal)) {
				t.Errorf("%+v", a)
			}
			if !strings.Contains(log.String(), "http_test.go") {
				t.Errorf("the log has no stack: %s", &log)
			}
		})
	}
}

// The request's context ends early enough to answer, and the caller is answered
// even if the handler does not come back.
func TestDeadline(t *testing.T) {
	t.Run("the handler obeys", func(t *testing.T) {
		var left time.Duration
		h := lambda.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			deadline, ok := r.Context().Deadline()
			if !ok {
				t.Error("no deadline")
			}
			left = time.Until(deadline)
			w.WriteHeader(http.StatusNoContent)
		}), "", quiet())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if a := invokeWithin(t, ctx, h, example(t, "http-v2.json")); a.StatusCode != 204 || left > 9500*time.Millisecond || left < 5*time.Second {
			t.Errorf("%+v with %s left", a, left)
		}
	})
	t.Run("the handler hangs", func(t *testing.T) {
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Add(1)
		h := lambda.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer wg.Done()
			<-release
			w.WriteHeader(http.StatusOK)
		}), "", quiet())
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		a := invokeWithin(t, ctx, h, example(t, "http-v2.json"))
		if a.StatusCode != 503 || a.Headers["Retry-After"] != "1" || !strings.Contains(a.Body, string(api.CodeStoreUnavailable)) {
			t.Errorf("%+v", a)
		}
		if ctx.Err() != nil {
			t.Error("the answer comes after the deadline")
		}
		close(release)
		wg.Wait()
	})
}

// Under the real handler, errors are problems whatever the version.
func TestRealHandler(t *testing.T) {
	h := lambda.NewHTTP(server.New(server.Config{PublicURL: "https://example.com", Version: "test", SourceAddr: server.SourceAddr(nil), Log: quiet()}), "", quiet())
	for _, name := range []string{"rest-v1.json", "http-v2.json"} {
		a := invoke(t, h, change(t, example(t, name), `{"path": "/nowhere", "rawPath": "/nowhere"}`))
		header := http.Header{}
		for k, v := range a.Headers {
			header.Set(k, v)
		}
		maps.Copy(header, a.MultiValueHeaders)
		if a.StatusCode != 404 || header.Get("Content-Type") != api.ProblemContentType || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestFuzzSeeds(t *testing.T) {
	seeds, err := filepath.Glob("testdata/fuzz/FuzzInvoke/*")
	must(t, err)
	if len(seeds) < 10 {
		t.Errorf("%d seeds", len(seeds))
	}
}
