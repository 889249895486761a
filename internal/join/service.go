package join

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// Limits that a deployment does not choose.
const (
	// backdate is how far before now certificates become valid, for hosts whose clock lags.
	backdate = 60 * time.Second
	// claimGrace is how long a claim is kept after its ID token can no longer be used.
	claimGrace = 30*time.Second + time.Hour
	// DefaultRecordTTL is how long records are kept.
	DefaultRecordTTL = 90 * 24 * time.Hour
)

// Config is what a Service is made of. All fields are required save where it says otherwise.
type Config struct {
	Store       Store
	Refresher   Refresher
	Authorities authority.Authorities

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
	keys *keyCache
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

// attempt is one join on its way through the steps.
type attempt struct {
	*Service
	req    *api.JoinRequest
	caller Caller
	now    time.Time // whole seconds: certificates know no finer time
	record store.Record
	state
}

// Join verifies, decides, claims, signs and records. Its error is always a
// *Refusal. Nothing is granted unless the claim and the record are stored.
func (s *Service) Join(ctx context.Context, req *api.JoinRequest, caller Caller) (*api.JoinResponse, error) {
	now := s.Now()
	id, err := ulid.New(ulid.Timestamp(now), s.Rand)
	if err != nil {
		return nil, refuse(api.CodeInternal, "the service has no randomness; try again later").because(err)
	}
	a := &attempt{Service: s, req: req, caller: caller, now: now.Truncate(time.Second)}
	a.record = store.Record{JoinID: id.String(), Time: now.UTC()}
	if caller.Addr.IsValid() {
		a.record.SourceAddr = caller.Addr.String()
	}

	resp, refusal := a.run(ctx)
	if refusal != nil {
		refusal = a.recordRefusal(ctx, refusal)
		refusal.Problem.JoinID = a.record.JoinID
	}
	a.log(ctx, refusal)
	if refusal != nil {
		return nil, refusal
	}
	return resp, nil
}

// run is the whole join, in the order of docs/protocol.md. What is cheap and
// local comes first, and nothing remote before it passes.
func (a *attempt) run(ctx context.Context) (*api.JoinResponse, *Refusal) {
	for _, step := range []func(context.Context) error{
		a.checkRequest,
		a.parseIDToken,
		a.readRule,
		a.precheckIDToken,
		a.readBotAndKeys,
		a.verifyIDToken,
		a.checkLocks,
		a.decide,
		a.readRolesAndClaim,
		a.checkGrants,
		a.checkUses,
		a.readAuthorities,
	} {
		// A panic is a refusal too, so that it is recorded like another.
		if err := guarded(func() error { return step(ctx) })(); err != nil {
			return nil, asRefusal(err)
		}
	}
	return a.issue(ctx)
}

// recordRefusal stores the record of a refused join whose ID token was verified.
// One refused earlier leaves a log line only, so that a stranger's flood costs
// no writes. A refusal that cannot be recorded becomes store_unavailable.
func (a *attempt) recordRefusal(ctx context.Context, r *Refusal) *Refusal {
	if a.verified == nil {
		return r
	}
	a.record.Code, a.record.Detail = string(r.Problem.Code), r.Problem.Detail
	a.record.Credentials = nil
	// The caller may have gone away; its record is written all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := a.Store.Record(ctx, a.record, a.record.Time.Add(a.RecordTTL)); err != nil {
		return storeUnavailable(fmt.Errorf("recording the refusal %s: %w", r.Problem.Code, err))
	}
	a.recorded = true
	r.Problem.Presented = a.verified.Fields
	return r
}

// recordTimeout bounds the write of a record after the caller has gone away.
const recordTimeout = 5 * time.Second

// log writes the join's one line.
func (a *attempt) log(ctx context.Context, r *Refusal) {
	level, code := slog.LevelInfo, store.CodeOK
	args := []any{slog.Any("join", a.record), slog.Bool("recorded", a.recorded)}
	if r != nil {
		level, code = slog.LevelWarn, string(r.Problem.Code)
		args = append(args, slog.String("code", code), slog.String("detail", r.Problem.Detail))
		if r.Cause != nil {
			level = slog.LevelError
			args = append(args, slog.String("cause", r.Cause.Error()))
		}
	}
	a.Log.Log(ctx, level, "join", args...)
	if a.Count != nil {
		a.Count(code, a.recorded)
	}
}
