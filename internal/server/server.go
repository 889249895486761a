// Package server is the HTTP API of the join service, the same in the Lambda
// function and in gatepassctl serve. It decodes strictly, caps sizes, and gives
// every failure a code (RFC 9457); what a request comes to is internal/join's.
package server

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Config is what the handler needs. All fields are required save where it says otherwise.
type Config struct {
	Join *join.Service
	// PublicURL is where clients reach the service. The request's Host is never believed.
	PublicURL string
	Version   string
	// Revoked makes the lists of what was revoked.
	Revoked *authority.Lists
	// SourceAddr tells who sent a request; see SourceAddr.
	SourceAddr func(*http.Request) netip.Addr
	// Limit, if set, says whether a request from addr may pass and, if not, when to come back.
	Limit func(addr netip.Addr) (ok bool, retryAfter time.Duration)
	Log   *slog.Logger
}

// handler answers requests by a table of paths.
type handler struct {
	Config
	routes    map[string]route
	published authority.Publisher
	checked   healthCheck
}

// route is what a path takes. A GET route answers HEAD too.
type route struct {
	method string
	serve  func(http.ResponseWriter, *http.Request) error
}

// New returns the handler of the API.
func New(c Config) http.Handler {
	h := &handler{Config: c}
	h.routes = map[string]route{
		api.PathJoin:        {http.MethodPost, h.join},
		api.PathAuthorities: {http.MethodGet, h.authorities},
		api.PathHealth:      {http.MethodGet, h.health},
		api.PathDiscovery:   {http.MethodGet, h.discovery},
		api.PathJWKS:        {http.MethodGet, h.jwks},
	}
	for name := range authorityFiles {
		h.routes[api.PathAuthorities+"/"+name] = route{http.MethodGet, h.authorityFile}
	}
	h.routes[api.PathRevokedKRL] = route{http.MethodGet, h.revokedKRL}
	for name := range revokedFiles {
		h.routes[api.PathRevoked+"/"+name] = route{http.MethodGet, h.revokedCRL}
	}
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			h.Log.ErrorContext(r.Context(), "panic", "path", r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
			writeProblem(w, internalProblem(), 0)
		}
	}()
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if err := h.route(w, r); err != nil {
		h.fail(w, r, err)
	}
}

func (h *handler) route(w http.ResponseWriter, r *http.Request) error {
	if len(r.TransferEncoding) > 0 {
		// With a Content-Length beside it a proxy may see another body than we do (RFC 9112
		// §6.3), and net/http no longer tells whether there was one. No client needs it.
		w.Header().Set("Connection", "close")
		return problem(api.CodeMalformedRequest, "the request has a Transfer-Encoding; send its body with a Content-Length")
	}
	route, ok := h.routes[r.URL.EscapedPath()] // an escaped slash is not a slash to whoever stands before us
	if !ok {
		return problem(api.CodeNotFound, "there is nothing at this path; jobs join by POST "+api.PathJoin)
	}
	if r.Method != route.method && !(route.method == http.MethodGet && r.Method == http.MethodHead) {
		w.Header().Set("Allow", allow(route.method))
		return problem(api.CodeMethodNotAllowed, "this path takes "+route.method+" only")
	}
	if h.Limit != nil && r.URL.Path != api.PathHealth {
		if ok, after := h.Limit(h.SourceAddr(r)); !ok {
			limited := api.NewProblem(api.CodeRateLimited, "too many requests from this address; wait and send the same request again")
			return &join.Refusal{Problem: limited, RetryAfter: max(after, time.Second)}
		}
	}
	return route.serve(w, r)
}

func allow(method string) string {
	if method == http.MethodGet {
		return "GET, HEAD"
	}
	return method
}

// problem is a refusal that does not come from the use case.
func problem(code api.Code, detail string) *join.Refusal {
	return &join.Refusal{Problem: api.NewProblem(code, detail)}
}

func internalProblem() *api.Problem {
	return api.NewProblem(api.CodeInternal, "the service failed; ask an administrator to look at its log")
}

// fail answers with the problem of err; one that has none is a fault of ours, and its cause is for the log only.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if refusal, ok := errors.AsType[*join.Refusal](err); ok {
		writeProblem(w, refusal.Problem, refusal.RetryAfter)
		return
	}
	h.Log.ErrorContext(r.Context(), "request failed", "path", strings.ToValidUTF8(r.URL.Path, "?"), "cause", err.Error())
	writeProblem(w, internalProblem(), 0)
}
