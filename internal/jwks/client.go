package jwks

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// DefaultTimeout is how long one call to an issuer may take, from the look-up of
// its name to the last byte of its answer.
const DefaultTimeout = 10 * time.Second

// ClientConfig says how issuers are dialed.
type ClientConfig struct {
	// PrivateIssuers are the hosts, each HOST or HOST:PORT as in the URLs of the
	// issuer and its jwks_uri, that may be at any address. All others must be at
	// public ones. GATEPASS_PRIVATE_ISSUERS by ParsePrivateIssuers; default none.
	PrivateIssuers []string
	// RootCAs are what the certificates of PrivateIssuers are checked by, see
	// Roots; default the system's. All others are checked by the system's only,
	// so that a company's own authority cannot speak for a public CI.
	RootCAs *x509.CertPool
	// Timeout of one call; default DefaultTimeout.
	Timeout time.Duration
}

// NewHTTPClient returns the client that issuers are dialed with: TLS 1.2 or
// later, no proxy, no redirect, no cookies, no compression, and connections
// only to public addresses, checked on the address connected to, save for
// c.PrivateIssuers. It fails if an entry of those cannot be read.
func NewHTTPClient(c ClientConfig) (*http.Client, error) {
	named, err := ParsePrivateIssuers(strings.Join(c.PrivateIssuers, ","))
	if err != nil {
		return nil, err
	}
	d := dialing{named: map[string]bool{}, roots: c.RootCAs, timeout: c.Timeout}
	for _, hp := range named {
		d.named[hp] = true
	}
	return d.client(), nil
}

// Roots returns the system's root certificates and those of a PEM file
// (GATEPASS_ISSUER_CA), which must hold nothing but certificates and at least one.
func Roots(file []byte) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's root certificates: %w", err)
	}
	n := 0
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("GATEPASS_ISSUER_CA: it holds a block %s; it must hold certificates only", quote(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("GATEPASS_ISSUER_CA: certificate %d: %w", n+1, err)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, errors.New("GATEPASS_ISSUER_CA: it holds no certificate; it must be a file of PEM blocks that begin with -----BEGIN CERTIFICATE-----")
	}
	return pool, nil
}

// dialing is a ClientConfig made ready.
type dialing struct {
	named   map[string]bool // HOST:PORT
	roots   *x509.CertPool
	timeout time.Duration

	// Tests replace what a name resolves to and watch the addresses tried.
	resolver *net.Resolver
	control  func(network, address string, c syscall.RawConn) error
}

func (d dialing) client() *http.Client {
	if d.timeout <= 0 {
		d.timeout = DefaultTimeout
	}
	if d.control == nil {
		d.control = publicOnly()
	}
	return &http.Client{
		Transport:     router{named: d.named, private: d.transport(nil, d.roots), public: d.transport(d.control, nil)},
		CheckRedirect: noRedirect,
		Timeout:       d.timeout,
	}
}

func (d dialing) transport(control func(string, string, syscall.RawConn) error, roots *x509.CertPool) *http.Transport {
	dialer := net.Dialer{Timeout: d.timeout, Control: control, Resolver: d.resolver}
	// One GET at a time needs nothing of HTTP/2, and each protocol less is one
	// parser less that a hostile issuer can feed.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  nil, // a proxy would connect where the check below does not reach
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    d.timeout,
		Protocols:              &protocols,
		DisableCompression:     true, // a small body cannot become a large one
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second,
	}
}

// noRedirect hands the redirect itself back as the answer, which is then refused.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// router sends requests to named hosts past the address check and all others
// through it. The URL's host is what is dialed, since there are neither
// redirects nor proxies.
type router struct {
	named           map[string]bool
	private, public *http.Transport
}

func (r router) RoundTrip(req *http.Request) (*http.Response, error) {
	if hp, err := hostPort(req.URL.Host); err == nil && r.named[hp] {
		return r.private.RoundTrip(req)
	}
	return r.public.RoundTrip(req)
}

// CloseIdleConnections makes http.Client's method of that name work.
func (r router) CloseIdleConnections() {
	r.private.CloseIdleConnections()
	r.public.CloseIdleConnections()
}

// addressError refuses an address before it is connected to.
type addressError struct {
	Addr  netip.Addr
	cause error
}

func (e *addressError) Error() string { return fmt.Sprintf("%s is not a public address", e.Addr) }
func (e *addressError) Unwrap() error { return e.cause }

// publicOnly returns a net.Dialer's Control function: it sees the address after
// the name was resolved, right before the connection, so there is no second
// look-up that could answer differently (DNS rebinding). What is public is
// decided by IANA's special-purpose registries as package ssrf has them.
func publicOnly() func(network, address string, conn syscall.RawConn) error {
	// Azure's machines find their metadata service at an address that the
	// registries do not set apart.
	azureWireServer := netip.MustParsePrefix("168.63.129.16/32")
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(azureWireServer))
	return func(network, address string, conn syscall.RawConn) error {
		err := guard.Safe(network, address, conn)
		if err == nil {
			return nil
		}
		if ap, perr := netip.ParseAddrPort(address); perr == nil {
			return &addressError{Addr: ap.Addr(), cause: err}
		}
		return err
	}
}
