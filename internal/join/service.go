package join

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Limits that a deployment does not choose.
const (
	// backdate is how far before now certificates become valid, for hosts whose clock lags.
	backdate = 60 * time.Second
	// useGrace is how long uses are kept after their ID token can no longer be used.
	useGrace = 30*time.Second + time.Hour
	// DefaultRecordTTL is how long records are kept.
	DefaultRecordTTL = 90 * 24 * time.Hour
)

// Config is what a Service is made of. All fields are required save where it says otherwise.
type Config struct {
	Store       Store
	Refresher   Refresher
	Authorities authority.Authorities

	// Local says that neither the store nor a signer is across a network.
	Local bool

	// PublicURL is the issuer of the JWTs, without a trailing slash.
	PublicURL string
	// TrustDomain is the SPIFFE trust domain of identity certificates.
	TrustDomain string
	// MaxTTL is the longest lifetime that is granted; 0 means cert.MaxTTL.
	MaxTTL time.Duration
	// RecordTTL is how long records are kept; 0 means DefaultRecordTTL.
	RecordTTL time.Duration

	// Now is the clock and Rand the source of serials and join ids. Both are used
	// by several goroutines at once.
	Now  func() time.Time
	Rand io.Reader
	// Wait sleeps for d or until ctx is done.
	Wait func(ctx context.Context, d time.Duration) error
	// Log gets one line for each join.
	Log *slog.Logger
	// Count, if set, is told of each join: its code and whether a record was stored.
	Count func(code string, recorded bool)
}

// Service joins jobs. It is safe for concurrent use.
type Service struct {
	Config
	keys      *keyCache
	waiters   waiters
	published authority.Publisher
	refusals  refusals
}

// New checks c and returns a Service.
func New(c Config) (*Service, error) {
	if c.MaxTTL == 0 {
		c.MaxTTL = cert.MaxTTL
	}
	if c.RecordTTL == 0 {
		c.RecordTTL = DefaultRecordTTL
	}
	if c.MaxTTL < time.Second || c.MaxTTL > cert.MaxTTL {
		return nil, fmt.Errorf("the maximum TTL is %s: choose one from 1s to %s", c.MaxTTL, cert.MaxTTL)
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil ||
		strings.ContainsAny(c.PublicURL, "?#") || strings.HasSuffix(c.PublicURL, "/") {
		return nil, fmt.Errorf("the public URL is %q: write it like https://join.example.com, without a trailing slash", c.PublicURL)
	}
	if err := cert.CheckTrustDomain(c.TrustDomain); err != nil {
		return nil, err
	}
	return &Service{Config: c, keys: newKeyCache()}, nil
}

// Caller is what the transport knows of who asks.
type Caller struct {
	// Addr is the source address; the zero Addr if it is not known.
	Addr netip.Addr
}

// arrival is a request's coming in.
type arrival struct {
	joinID string
	time   time.Time
	addr   netip.Addr // the zero Addr if it is not known
}

// second is the time of arrival as certificates know it: in whole seconds.
func (a arrival) second() time.Time { return a.time.Truncate(time.Second) }

// Join verifies, decides, uses the ID token, signs and records. Its error is always a
// *Refusal. Nothing is granted unless the use and the record are stored.
func (s *Service) Join(ctx context.Context, req *api.JoinRequest, caller Caller) (*api.JoinResponse, error) {
	now := s.Now()
	id, err := ulid.New(ulid.Timestamp(now), s.Rand)
	if err != nil {
		return nil, refuse(api.CodeInternal, "the service has no randomness; try again later").because(err)
	}
	at := arrival{joinID: id.String(), time: now.UTC(), addr: caller.Addr}
	d := newDiary(at)
	var resp *api.JoinResponse
	// A panic is a refusal too, so that it is recorded like another.
	if err := guarded(func() (err error) { resp, err = s.run(ctx, req, at, d); return err })(); err != nil {
		refusal := s.recordRefusal(ctx, d, asRefusal(err))
		refusal.Problem.JoinID = at.joinID
		s.log(ctx, d, refusal)
		return nil, refusal
	}
	s.log(ctx, d, nil)
	return resp, nil
}

// run is the whole join, in the order of docs/protocol.md. What is cheap and
// local comes first, and nothing remote before it passes. What can stop a join is read
// after all that waits for an issuer. A step is given what it
// decides by, and returns what the steps after it cannot do without. The diary is
// written and never read: no step decides by it.
func (s *Service) run(ctx context.Context, req *api.JoinRequest, at arrival, d *diary) (*api.JoinResponse, error) {
	if err := checkRequest(req); err != nil {
		return nil, err
	}
	d.request(req)
	presented, err := parseIDToken(req.IDToken)
	if err != nil {
		return nil, err
	}
	d.idToken(presented)
	plausible, err := precheckIDToken(presented, at.time)
	if err != nil {
		return nil, err
	}
	keyed, err := s.readRuleAndKeys(ctx, req, plausible, d)
	if err != nil {
		return nil, err
	}
	signed, err := verifySignature(keyed)
	if err != nil {
		return nil, err
	}
	d.verified(signed) // from here on every refusal is recorded
	job, err := checkClaims(signed, at.time)
	if err != nil {
		return nil, err
	}
	asked, err := s.readRequest(req)
	if err != nil {
		return nil, err
	}
	bound, err := checkBinding(job, asked, d)
	if err != nil {
		return nil, err
	}
	latest, err := s.readLatest(ctx, bound)
	if err != nil {
		return nil, err
	}
	unlocked, err := checkLocks(latest, at.time, d)
	if err != nil {
		return nil, err
	}
	allowed, err := decide(unlocked, d)
	if err != nil {
		return nil, err
	}
	order, err := s.prepare(ctx, asked, at, allowed, d)
	if err != nil {
		return nil, err
	}
	return s.issue(ctx, order, at, d)
}

// prepare is the part of run between who may join and what is issued: every
// credential asked for is granted, for how long, and the ID token has a use left. A
// refusal up to here spends nothing.
func (s *Service) prepare(ctx context.Context, asked asked, at arrival, job allowed, d *diary) (order, error) {
	grants, err := s.checkGrants(ctx, asked, job.bot, job.roles, at.addr)
	if err != nil {
		return order{}, err
	}
	lifetime := limitTTL(asked.request, s.MaxTTL, job.bot, job.roles, at)
	d.lifetime(lifetime)
	lifetime, err = checkUses(job.uses, asked.digest, job.rule, lifetime, at.second())
	d.lifetime(lifetime)
	if err != nil {
		return order{}, err
	}
	authorities, err := s.readAuthorities(ctx)
	if err != nil {
		return order{}, err
	}
	return order{job, grants, asked.digest, lifetime, authorities}, nil
}
