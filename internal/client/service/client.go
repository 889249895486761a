// Package service talks to the join service over HTTPS: one request, sent
// again while the service is briefly away, and an answer that is bounded,
// decoded and turned into a failure the user can act on.
package service

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// maxAnswer bounds what is read of an answer. Sixteen credentials with their
// authorities are a tenth of it.
const maxAnswer = 1 << 20

// Config says how to reach a service.
type Config struct {
	URL       *url.URL      // as ParseURL returns it
	CAFile    string        // PEM certificates to trust besides the system's; optional
	Timeout   time.Duration // for everything, all attempts and pauses included
	Attempt   time.Duration // for one attempt; zero means 20 s
	Retry     bool          // whether to send again what failed for now
	UserAgent string
	// Waiting is told why and for how long the client waits before it tries again.
	Waiting func(why string, pause time.Duration)
}

// Client joins at one service.
type Client struct {
	config Config
	http   *http.Client
	join   string
}

// New makes a client. It fails if the CA file cannot be used.
func New(config Config) (*Client, error) {
	if config.Attempt == 0 {
		config.Attempt = 20 * time.Second
	}
	roots, err := rootsWith(config.CAFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &Client{
		config: config,
		join:   config.URL.JoinPath(api.PathJoin).String(),
		http: &http.Client{
			Transport: transport,
			// A redirect would carry the ID token to a host that nobody chose.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// rootsWith returns the system's roots with those of a file, or nil for the system's alone.
func rootsWith(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, cli.Misused("reading the CA file: %w", err).
			Hint("GATEPASS_CA_FILE and --ca-file name a PEM file with the certificate that the server's is signed by")
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(raw) {
		return nil, cli.Misused("the CA file %s holds no PEM certificate", file).
			Hint("it must contain -----BEGIN CERTIFICATE----- blocks")
	}
	return roots, nil
}

// Join sends the request until it is answered or the time is up. Refusals are
// *api.Problem within a *cli.Error.
func (c *Client) Join(ctx context.Context, request api.JoinRequest) (*api.JoinResponse, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	if len(body) > api.MaxRequestBytes {
		return nil, cli.Misused("the request has %d bytes, more than the %d that are accepted", len(body), api.MaxRequestBytes).
			Hint("ask for fewer credentials at a time")
	}
	idToken := request.IDToken
	return c.retry(ctx, func(ctx context.Context) (*api.JoinResponse, error) {
		ctx, cancel := context.WithTimeout(ctx, c.config.Attempt)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.join, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/json, "+api.ProblemContentType)
		var granted api.JoinResponse
		_, err = c.ask(request, secret(idToken), "a join's", func(body []byte) error { return json.Unmarshal(body, &granted) })
		return &granted, err
	})
}

// ask sends one request and has the body of the answer decoded. whose says what kind of
// answer it is to be. idToken is in the request, and gets into no error and nothing decoded.
func (c *Client) ask(request *http.Request, idToken secret, whose string, decode func([]byte) error) (http.Header, error) {
	request.Header.Set("User-Agent", c.config.UserAgent)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.broken(err, idToken)
	}
	defer response.Body.Close()
	return response.Header, c.read(response, idToken, whose, decode)
}
