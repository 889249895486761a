package lambda

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// errEvent says that an event is no HTTP request.
var errEvent = errors.New("the event is no HTTP request of API Gateway: it must be payload 2.0 of an HTTP API or 1.0 of a REST API")

// version is the payload version of an event, which its answer must have too.
type version int

const (
	restV1 version = iota + 1
	httpV2
)

// parseEvent makes an HTTP request of an event. prefixes are what API Gateway may
// have put before the paths of the API, like the path of the public URL. The
// version is that which the answer should have, also if there is an error.
func parseEvent(ctx context.Context, payload []byte, prefixes ...string) (*http.Request, version, error) {
	// Which members are there tells the versions apart: an HTTP API has version
	// 2.0 (or 1.0, if it is configured so), a REST API none.
	var head struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return nil, httpV2, errEvent
	}
	if head.Version == "2.0" {
		r, err := parseV2(ctx, payload, prefixes)
		return r, httpV2, err
	}
	r, err := parseV1(ctx, payload, prefixes)
	return r, restV1, err
}

func parseV2(ctx context.Context, payload []byte, prefixes []string) (*http.Request, error) {
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errEvent
	}
	c := e.RequestContext
	// rawPath begins with the stage, save for the default one and behind a custom domain.
	if stage := c.Stage; stage != "" && stage != "$default" {
		prefixes = append([]string{"/" + stage}, prefixes...)
	}
	header := http.Header{}
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	return newRequest(ctx, request{
		method: c.HTTP.Method, path: cutPrefix(e.RawPath, prefixes), query: e.RawQueryString,
		header: header, body: e.Body, base64: e.IsBase64Encoded, source: c.HTTP.SourceIP,
	})
}

func parseV1(ctx context.Context, payload []byte, prefixes []string) (*http.Request, error) {
	var e events.APIGatewayProxyRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errEvent
	}
	header := http.Header{}
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	for name, values := range e.MultiValueHeaders { // all of them, where Headers has the last
		header.Del(name)
		for _, value := range values {
			header.Add(name, value)
		}
	}
	query := url.Values{}
	for name, value := range e.QueryStringParameters {
		query.Set(name, value)
	}
	for name, values := range e.MultiValueQueryStringParameters {
		query[name] = values
	}
	// path is without the stage, and with the base path of a custom domain.
	return newRequest(ctx, request{
		method: e.HTTPMethod, path: cutPrefix(e.Path, prefixes), query: query.Encode(),
		header: header, body: e.Body, base64: e.IsBase64Encoded, source: e.RequestContext.Identity.SourceIP,
	})
}

// request is an event of either version.
type request struct {
	method, path, query string
	header              http.Header
	body                string
	base64              bool
	source              string // the address that API Gateway saw
}

func newRequest(ctx context.Context, r request) (*http.Request, error) {
	if r.method == "" || !strings.HasPrefix(r.path, "/") {
		return nil, errEvent
	}
	body := []byte(r.body)
	if r.base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.body); err != nil {
			return nil, errors.New("the event's body is not valid base64")
		}
	}
	req := &http.Request{
		Method: r.method, URL: &url.URL{Path: r.path, RawQuery: r.query}, RequestURI: r.path,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header, Host: r.header.Get("Host"),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	// The connection's address is the one that API Gateway saw. Forwarded headers,
	// which the caller may have written, stay headers. Without an address the
	// handler knows none, and refuses what must be pinned to one.
	if addr, err := netip.ParseAddr(r.source); err == nil {
		req.RemoteAddr = netip.AddrPortFrom(addr.WithZone(""), 0).String()
	}
	return req.WithContext(ctx), nil
}

// cutPrefix cuts each prefix, in turn, off a path that begins with it.
func cutPrefix(path string, prefixes []string) string {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(path, prefix); ok && strings.HasPrefix(rest, "/") {
			path = rest
		}
	}
	return path
}
