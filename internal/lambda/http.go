package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/gatepass-ci/gatepass/pkg/api"
)

const (
	// answerTime is left of a function's time when its request's context ends, to
	// write the record of the refusal and to answer.
	answerTime = 500 * time.Millisecond
	// lastMoment before the end of the function's time the caller is answered,
	// even if the handler still waits for something.
	lastMoment = 100 * time.Millisecond
)

// HTTP answers events of API Gateway by a handler. It implements the runtime's
// Handler.
//
// The adapters that exist (aws-lambda-go-api-proxy) take the caller's address as
// RemoteAddr without a port or from forwarded headers, end the function on an
// event that they cannot read, know nothing of its deadline, and bring the
// modules of every web framework along.
type HTTP struct {
	handler  http.Handler
	prefixes []string
	log      *slog.Logger
}

// NewHTTP returns an HTTP of handler. The path of publicURL, if it has one, is
// cut off paths of events.
func NewHTTP(handler http.Handler, publicURL string, log *slog.Logger) *HTTP {
	h := &HTTP{handler: handler, log: log}
	if u, err := url.Parse(publicURL); err == nil && u.Path != "" {
		h.prefixes = []string{u.Path}
	}
	return h
}

// Invoke answers one event. Its error is always nil: whoever calls an API gets an
// answer that says what is wrong, and one that is no HTTP request a 400.
func (h *HTTP) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	requestCtx := ctx
	last := make(<-chan time.Time) // never, without a deadline
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		requestCtx, cancel = context.WithDeadline(ctx, deadline.Add(-answerTime))
		defer cancel()
		timer := time.NewTimer(time.Until(deadline) - lastMoment)
		defer timer.Stop()
		last = timer.C
	}
	req, v, err := parseEvent(requestCtx, payload, h.prefixes...)
	if err != nil {
		h.log.WarnContext(ctx, "malformed event", "cause", err.Error())
		return problemResponse(api.NewProblem(api.CodeMalformedRequest, err.Error())).event(v)
	}
	done := make(chan *response, 1)
	go func() { done <- h.serve(req) }()
	select {
	case r := <-done:
		return r.event(v)
	case <-last:
		// Past its deadline Lambda would answer nothing. What the handler still does is
		// safe: it may store a record of credentials that nobody got.
		h.log.ErrorContext(ctx, "out of time", "path", req.URL.Path)
		late := problemResponse(api.NewProblem(api.CodeStoreUnavailable, "the service ran out of time; send the same request again"))
		late.sent.Set("Retry-After", "1")
		return late.event(v)
	}
}

// serve runs the handler. A panic here would end the whole function.
func (h *HTTP) serve(req *http.Request) (r *response) {
	defer func() {
		if fault := recover(); fault != nil {
			h.log.ErrorContext(req.Context(), "panic", "path", req.URL.Path, "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
			r = problemResponse(api.NewProblem(api.CodeInternal, "the service failed; ask an administrator to look at its log"))
		}
	}()
	r = newResponse()
	h.handler.ServeHTTP(r, req)
	if req.Method == http.MethodHead {
		r.body.Reset()
	}
	return r
}

// response gathers what a handler answers (an http.ResponseWriter).
type response struct {
	status int
	header http.Header
	sent   http.Header // as it was when the status was written
	body   bytes.Buffer
}

func newResponse() *response { return &response{header: http.Header{}} }

// problemResponse is an answer of the adapter's own.
func problemResponse(p *api.Problem) *response {
	r := newResponse()
	r.header.Set("Content-Type", api.ProblemContentType)
	r.header.Set("Cache-Control", "no-store")
	r.header.Set("X-Content-Type-Options", "nosniff")
	r.WriteHeader(p.Status)
	body, err := json.Marshal(p)
	if err != nil { // a Problem holds nothing that cannot be encoded
		panic(err)
	}
	r.body.Write(append(body, '\n'))
	return r
}

func (r *response) Header() http.Header { return r.header }

func (r *response) WriteHeader(status int) {
	if r.sent == nil {
		r.status, r.sent = status, maps.Clone(r.header)
	}
}

func (r *response) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}

// event is the response as API Gateway takes it: values of one name joined by a
// comma (RFC 9110 §5.3) for payload 2.0, each by itself for 1.0.
func (r *response) event(v version) ([]byte, error) {
	r.WriteHeader(http.StatusOK)
	body, encoded := r.body.String(), false
	if !utf8.ValidString(body) { // JSON would change it
		body, encoded = base64.StdEncoding.EncodeToString(r.body.Bytes()), true
	}
	if v == restV1 {
		return json.Marshal(events.APIGatewayProxyResponse{
			StatusCode: r.status, MultiValueHeaders: r.sent, Body: body, IsBase64Encoded: encoded,
		})
	}
	headers := make(map[string]string, len(r.sent))
	for name, values := range r.sent {
		headers[name] = strings.Join(values, ",")
	}
	return json.Marshal(events.APIGatewayV2HTTPResponse{
		StatusCode: r.status, Headers: headers, Body: body, IsBase64Encoded: encoded,
	})
}
