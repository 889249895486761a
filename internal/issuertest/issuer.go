package issuertest

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Defaults of a Config, and of the jobs that tokens are minted for.
const (
	Workspace             = "acme"
	WorkspaceUUID         = "{922e118c-f34f-4226-a897-0e0afbec553d}"
	RepositoryUUID        = "{1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c}"
	OrganizationID        = "00000000-0000-0000-0000-000000000001"
	ContextID             = "00000000-0000-0000-0000-000000000002"
	ProjectID             = "00000000-0000-0000-0000-000000000003"
	PipelineDefinitionID  = "00000000-0000-0000-0000-000000000004"
	BitbucketHost         = "https://api.bitbucket.org"
	CircleCIHost          = "https://oidc.circleci.com"
	DefaultTokenLifetime  = time.Hour
	discoveryPath         = "/.well-known/openid-configuration"
	bitbucketKeysPath     = "/keys.json"
	circleCIKeysPath      = "/.well-known/jwks-pub.json"
	defaultServingAddress = "127.0.0.1:0"
)

// Config says what issuer to be. Its zero value serves on a free port of 127.0.0.1.
type Config struct {
	// Offline serves nothing; the issuers then have the CIs' real names.
	Offline bool
	// Listen is the loopback address to serve on; default 127.0.0.1:0.
	Listen string
	// Workspace is the slug in Bitbucket's issuer URL; default the constant.
	Workspace string
	// OrganizationID is the id in CircleCI's issuer URL; default the constant.
	OrganizationID string
	// Algorithm of the first key, RS256 or ES256; default RS256, as both CIs use.
	Algorithm string
	// TokenLifetime is from iat to exp; default DefaultTokenLifetime.
	TokenLifetime time.Duration
	// Now is the clock that tokens are minted by; default time.Now.
	Now func() time.Time
}

// Issuer is an issuer with keys, shared by its Bitbucket and its CircleCI side.
// It is safe for concurrent use.
type Issuer struct {
	config Config
	keys   *keyRing

	server  *http.Server
	closed  chan struct{}
	closing sync.Once
	ca      []byte
	host    string // HOST:PORT; empty if nothing is served

	mu        sync.Mutex
	behaviour Behaviour
	requests  Requests
}

// New makes a key and, unless c.Offline, starts to serve. Close the issuer after use.
func New(c Config) (*Issuer, error) {
	c.setDefaults()
	keys, err := newKeyRing(c.Algorithm)
	if err != nil {
		return nil, err
	}
	i := &Issuer{config: c, keys: keys, closed: make(chan struct{})}
	if c.Offline {
		return i, nil
	}
	if err := i.serve(); err != nil {
		return nil, err
	}
	return i, nil
}

func (c *Config) setDefaults() {
	if c.Listen == "" {
		c.Listen = defaultServingAddress
	}
	if c.Workspace == "" {
		c.Workspace = Workspace
	}
	if c.OrganizationID == "" {
		c.OrganizationID = OrganizationID
	}
	if c.Algorithm == "" {
		c.Algorithm = RS256
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = DefaultTokenLifetime
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// BitbucketURL is the issuer of this workspace's Bitbucket tokens.
func (i *Issuer) BitbucketURL() string {
	return i.base(BitbucketHost) + "/2.0/workspaces/" + url.PathEscape(i.config.Workspace) + "/pipelines-config/identity/oidc"
}

// CircleCIURL is the issuer of this organization's CircleCI tokens.
func (i *Issuer) CircleCIURL() string {
	return i.base(CircleCIHost) + "/org/" + url.PathEscape(i.config.OrganizationID)
}

func (i *Issuer) base(real string) string {
	if i.host == "" {
		return real
	}
	return "https://" + i.host
}

// Host is HOST:PORT of the server, as in GATEPASS_PRIVATE_ISSUERS; empty if nothing is served.
func (i *Issuer) Host() string { return i.host }

// CA is the certificate, in PEM, that the server's is checked by; nil if nothing is served.
func (i *Issuer) CA() []byte { return i.ca }

// Close stops serving and breaks the connections that are open. It may be called twice.
func (i *Issuer) Close() error {
	var err error
	i.closing.Do(func() {
		close(i.closed)
		if i.server != nil {
			err = i.server.Close()
		}
	})
	return err
}

func (i *Issuer) serve() error {
	ln, err := net.Listen("tcp", i.config.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	addr, ok := ln.Addr().(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		ln.Close()
		return fmt.Errorf("listening on %s: an issuer for tests serves on a loopback address only", ln.Addr())
	}
	tlsConfig, ca, err := newServerTLS(time.Now())
	if err != nil {
		ln.Close()
		return err
	}
	i.host, i.ca = addr.String(), ca
	i.server = &http.Server{
		Handler:           i.handler(),
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          discardLog(), // clients that distrust the CA are part of many tests
	}
	go i.server.ServeTLS(ln, "", "")
	return nil
}
