package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/wait"
)

const (
	refreshEvery = 15 * time.Minute // key sets, as on AWS
	advanceEvery = time.Minute      // how old a copy of the store may be that is taken for it
	purgeEvery   = time.Hour        // uses and records that are no longer kept
	revokedFor   = time.Second      // what was revoked is read again: the store is near
	stopWithin   = 10 * time.Second // for requests under way when the server stops
)

// DefaultRateLimit is how many requests a minute one address may make unless the command
// line says otherwise. All jobs of a company may come from one address: it is for strangers
// who flood, not for them.
const DefaultRateLimit = 1200

// Config is what a Server is made of.
type Config struct {
	// Data is the directory of the store and the key files; made if missing.
	Data string
	// New takes a data directory as it is, whose store or keys were lost or do not belong
	// together, and makes what is missing.
	New bool
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// PublicURL is where clients reach the service; empty means where it listens.
	PublicURL string
	// TrustDomain of identity certificates; empty means the public URL's host.
	TrustDomain string
	// TLSCert and TLSKey are files of the server's certificate; both empty means plain HTTP.
	TLSCert, TLSKey string
	// MaxTTL is the longest lifetime granted; 0 means cert.MaxTTL.
	MaxTTL time.Duration
	// RateLimit is requests a minute from one address; 0 means no limit.
	RateLimit int
	// Connections is how many are open at one time; 0 means DefaultConnections. The limit
	// of open files may leave room for fewer.
	Connections int
	// TrustedProxies may name the caller in X-Forwarded-For. Their connections are not
	// bounded by source.
	TrustedProxies []netip.Prefix
	// Issuers says how issuers are dialed.
	Issuers jwks.ClientConfig
	Version string
	Now     func() time.Time
	Log     *slog.Logger
}

// Server is an embedded server that listens.
type Server struct {
	c           Config
	store       *sqlite.Store
	refresher   *jwks.Refresher
	connections *connections
	listener    net.Listener // of the connections, with TLS if there is a certificate
	http        *http.Server
	url         string
	publicURL   string
}

// Open opens the store and the authorities, making what is missing, and listens.
// Run must follow, or Close.
func Open(ctx context.Context, c Config) (_ *Server, err error) {
	if err := checkListen(c); err != nil {
		return nil, err
	}
	s := &Server{c: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	var authorities *localca.Authorities
	if s.store, authorities, err = openData(ctx, c); err != nil {
		return nil, err
	}
	if s.refresher, err = ctl.NewRefresher(s.store, c.Issuers, c.Now, c.Log); err != nil {
		return nil, err
	}
	if err = s.listen(); err != nil {
		return nil, err
	}
	return s, s.assemble(authorities)
}

// checkListen refuses to send credentials in the clear across a network.
func checkListen(c Config) error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen at %q: write an address and a port, such as 127.0.0.1:8600", c.Listen)
	}
	addr, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && addr.IsLoopback()
	if !loopback && c.TLSCert == "" && len(c.TrustedProxies) == 0 {
		return fmt.Errorf("listening at %s without TLS would send ID tokens in the clear: give --tls-cert and --tls-key, or --trusted-proxy for a proxy that ends TLS", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("half of the server's certificate is missing: give both --tls-cert and --tls-key, or neither")
	}
	if c.PublicURL == "" && (host == "" || err == nil && addr.IsUnspecified()) {
		return fmt.Errorf("listening at %s does not say where clients reach the service: give --public-url", c.Listen)
	}
	return nil
}

func (s *Server) listen() error {
	scheme := "http"
	listener, err := net.Listen("tcp", s.c.Listen)
	if err != nil {
		return err
	}
	s.connections = newConnections(listener, boundsOf(s.boundConnections()), s.c.TrustedProxies, s.c.Log)
	s.listener = s.connections
	if s.c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.c.TLSCert, s.c.TLSKey)
		if err != nil {
			return fmt.Errorf("reading the server's certificate: %w", err)
		}
		scheme = "https"
		s.listener = tls.NewListener(s.connections, &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"},
		})
	}
	s.url = scheme + "://" + listener.Addr().String()
	return nil
}

// boundConnections is how many connections there may be at one time.
func (s *Server) boundConnections() int {
	wanted := cmp.Or(s.c.Connections, DefaultConnections)
	within := connectionsWithin(wanted)
	if within < wanted {
		s.c.Log.Warn("the limit of open files leaves room for fewer connections than --max-connections; raise it with ulimit -n", "wanted", wanted, "most", within)
	}
	return within
}

func (s *Server) assemble(authorities authority.Authorities) error {
	s.publicURL = cmp.Or(s.c.PublicURL, s.url)
	service, err := join.New(join.Config{
		Store: s.store, Refresher: s.refresher, Authorities: authorities, Local: true,
		PublicURL: s.publicURL, TrustDomain: cmp.Or(s.c.TrustDomain, cert.TrustDomainOf(s.publicURL)), MaxTTL: s.c.MaxTTL,
		Now: s.c.Now, Rand: rand.Reader, Wait: wait.For, Log: s.c.Log,
	})
	if err != nil {
		return err
	}
	config := server.Config{
		Join: service, PublicURL: s.publicURL, Version: s.c.Version,
		Revoked:    authority.NewLists(authority.ListsConfig{Revocations: s.store, Authorities: authorities, Now: s.c.Now, Rand: rand.Reader, MaxAge: revokedFor}),
		SourceAddr: server.SourceAddr(s.c.TrustedProxies), Log: s.c.Log,
	}
	if s.c.RateLimit > 0 {
		config.Limit = server.RateLimit(s.c.RateLimit, s.c.Now, s.c.Log)
	}
	s.http = newHTTP(server.New(config), defaultLimits, s.connections, s.c.Log)
	return nil
}

// URL is where the server listens.
func (s *Server) URL() string { return s.url }

// Run serves until ctx ends, refreshes key sets and purges what is no longer
// kept. Requests under way when ctx ends are finished.
func (s *Server) Run(ctx context.Context) error {
	// It is a help for people: a server that cannot write it serves all the same.
	running := ctl.Running{URL: s.url, PublicURL: s.publicURL}
	if err := running.Announce(s.c.Data); err != nil {
		s.c.Log.WarnContext(ctx, "other commands cannot tell that this server runs", "cause", err.Error())
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		return s.http.Shutdown(stop)
	})
	g.Go(func() error {
		s.refresher.Run(gctx, refreshEvery)
		return nil
	})
	g.Go(func() error { return s.purge(gctx) })
	g.Go(func() error { return s.advance(gctx) })
	return errors.Join(g.Wait(), running.TakeBack(s.c.Data), s.Close())
}

// advance marks beside the keys that joins were stored, each minute in which some were.
func (s *Server) advance(ctx context.Context) error {
	for wait.For(ctx, advanceEvery) == nil {
		if err := s.store.Advance(ctx); err != nil && ctx.Err() == nil {
			s.c.Log.ErrorContext(ctx, "marking what was stored", "cause", err.Error())
		}
	}
	return nil
}

func (s *Server) purge(ctx context.Context) error {
	for {
		if _, err := s.store.Purge(ctx, s.c.Now()); err != nil && ctx.Err() == nil {
			s.c.Log.ErrorContext(ctx, "purging what is no longer kept", "cause", err.Error())
		}
		if wait.For(ctx, purgeEvery) != nil {
			return nil
		}
	}
}

// Close lets go of the store and the listener.
func (s *Server) Close() error {
	var errs []error
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
		s.store = nil
	}
	return errors.Join(errs...)
}
