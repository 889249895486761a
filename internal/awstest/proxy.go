package awstest

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy stands in front of a server, notes the requests and does to them what a
// Fault says.
type Proxy struct {
	server      *httptest.Server
	connections atomic.Int64
	units       atomic.Bool

	mu       sync.Mutex
	fault    Fault
	requests []Request
}

// Request is one that came to a Proxy, each try of the SDK by itself.
type Request struct {
	Operation string         // such as GetItem
	Body      map[string]any // as DynamoDB's JSON
}

// Fault answers a request in place of the server. It may forward it and pass on
// what the server answers, or forward it to nowhere.
type Fault func(r Request, w http.ResponseWriter, forward func(http.ResponseWriter))

// NewProxy starts a proxy in front of the server at an endpoint.
func NewProxy(endpoint string) (*Proxy, error) {
	p, err := newProxy(endpoint)
	if err == nil {
		p.server.Start()
	}
	return p, err
}

// NewTLSProxy is NewProxy with TLS, as AWS has it. Whoever trusts CA can reach it.
func NewTLSProxy(endpoint string) (*Proxy, error) {
	p, err := newProxy(endpoint)
	if err == nil {
		p.server.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that has gone
		p.server.StartTLS()
	}
	return p, err
}

// CA is the certificate of a TLS proxy, in PEM.
func (p *Proxy) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// AskForUnits has DynamoDB tell in each answer what it would count: ConsumedCapacity. A server
// that checks signatures refuses such a request, which DynamoDB Local does not.
func (p *Proxy) AskForUnits() { p.units.Store(true) }

// Connections is how many connections clients have opened.
func (p *Proxy) Connections() int { return int(p.connections.Load()) }

func newProxy(endpoint string) (*Proxy, error) {
	target, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	p := &Proxy{}
	next := httputil.NewSingleHostReverseProxy(target)
	next.ErrorLog = log.New(io.Discard, "", 0) // a client that has gone is part of the test
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has gone
		}
		request := Request{Operation: operation(r)}
		if err := json.Unmarshal(body, &request.Body); err != nil {
			http.Error(w, "the proxy understands JSON only: "+err.Error(), http.StatusBadRequest)
			return
		}
		if p.units.Load() && strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB") {
			asking := maps.Clone(request.Body)
			asking["ReturnConsumedCapacity"] = "TOTAL"
			body, _ = json.Marshal(asking) // it was JSON
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		}
		forward := func(w http.ResponseWriter) {
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, again)
		}
		if fault := p.note(request); fault != nil {
			fault(request, w, forward)
			return
		}
		forward(w)
	}))
	p.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.connections.Add(1)
		}
	}
	return p, nil
}

// operation is what a request asks for: X-Amz-Target is DynamoDB_20120810.GetItem.
func operation(r *http.Request) string {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return op
}

func (p *Proxy) note(r Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r)
	return p.fault
}

// URL is the proxy's endpoint.
func (p *Proxy) URL() string { return p.server.URL }

// Close ends the proxy, and with it the connections to it.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Set makes the proxy do f from now on; nil ends all faults. It forgets the requests so far.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.requests = f, nil
}

// Requests returns the requests since the last Set.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.requests...)
}

// First does f to the first n requests, and nothing to those after.
func First(n int, f Fault) Fault {
	var (
		mu   sync.Mutex
		seen int
	)
	return func(r Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		mu.Lock()
		seen++
		now := seen <= n
		mu.Unlock()
		if now {
			f(r, w, forward)
		} else {
			forward(w)
		}
	}
}

// On does f to requests of one operation, such as UpdateItem.
func On(operation string, f Fault) Fault {
	return func(r Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		if r.Operation == operation {
			f(r, w, forward)
		} else {
			forward(w)
		}
	}
}

// Throttled refuses a request as DynamoDB does when there are too many.
func Throttled(r Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
	Error(http.StatusBadRequest, "ProvisionedThroughputExceededException",
		map[string]any{"message": "The level of configured provisioned throughput for the table was exceeded."})(r, w, forward)
}

// Error answers with an exception of DynamoDB's, by name, that has these fields.
func Error(status int, name string, fields map[string]any) Fault {
	return func(_ Request, w http.ResponseWriter, _ func(http.ResponseWriter)) {
		exception := maps.Clone(fields)
		if exception == nil {
			exception = map[string]any{}
		}
		exception["__type"] = "com.amazonaws.dynamodb.v20120810#" + name
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(exception) // the client may have gone
	}
}

// CutBefore closes the connection in place of forwarding the request.
func CutBefore(_ Request, w http.ResponseWriter, _ func(http.ResponseWriter)) { cut(w) }

// CutAfter forwards the request and closes the connection in place of answering:
// what was to be written is.
func CutAfter(_ Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
	forward(httptest.NewRecorder())
	cut(w)
}

func cut(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// Late forwards the request and passes on the answer after a while.
func Late(d time.Duration) Fault {
	return func(_ Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		answer := httptest.NewRecorder()
		forward(answer)
		time.Sleep(d)
		Replay(answer, w)
	}
}

// Replay passes on an answer that a Fault has kept.
func Replay(answer *httptest.ResponseRecorder, w http.ResponseWriter) {
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
}
