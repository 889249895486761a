package join

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// diary is what is known of a join so far, for its record and its log line. Steps
// write it as they go, so that a refusal tells how far the join came.
type diary struct {
	record store.Record
	// isVerified says that the ID token's signature was verified; presented are its
	// fields then.
	isVerified bool
	presented  map[string][]string
	recorded   bool
	countedIn  string // the join id of the record that counts this refusal; empty if none does
	// mayHaveRecord says that a record of this join may be stored, as one that is granted.
	mayHaveRecord bool
}

func newDiary(at arrival) *diary {
	d := &diary{record: store.Record{JoinID: at.joinID, Time: at.time}}
	if at.addr.IsValid() {
		d.record.SourceAddr = at.addr.String()
	}
	return d
}

// request is not noted before it is checked: whatever a caller puts there, an ID
// token even, would be logged.
func (d *diary) request(req *api.JoinRequest) {
	d.record.Token, d.record.Client = req.Token, req.Client
}

func (d *diary) idToken(p presented) { d.record.IDToken = p.hash }

func (d *diary) rule(r *rules.TokenRule) { d.record.Bot, d.record.Method = r.BotName, r.JoinMethod }

func (d *diary) verified(s signed) {
	d.isVerified, d.presented, d.record.Claims = true, s.Fields, s.Claims
}

func (d *diary) lock(l *rules.Lock) { d.record.Lock = l.Name() }

func (d *diary) decision(made rules.Decision) {
	if made.Rule >= 0 {
		d.record.Rule = &made.Rule
	}
	d.record.Mismatches, d.record.MismatchesLeftOut = store.Mismatches(made.Mismatches)
}

func (d *diary) lifetime(l lifetime) {
	d.record.TTLLimitedBy, d.record.RetryOf = l.limitedBy, ""
	if l.first != d.record.JoinID {
		d.record.RetryOf = l.first
	}
}

// asked notes the request, and to which one the ID token is bound.
func (d *diary) asked(a asked, b token.Binding) {
	d.record.Digest, d.record.Bound = a.digest, b.String()
}

// grant makes the record that of a join that is granted.
func (d *diary) grant(o order, at arrival, drafts []draft) {
	d.record.Code = store.CodeOK
	d.record.TTLSeconds = o.seconds(at.second())
	d.record.Credentials = d.record.Credentials[:0]
	for _, draft := range drafts {
		d.record.Credentials = append(d.record.Credentials, draft.record(o.notAfter))
	}
}

// recordTimeout bounds the write of a record after the caller has gone away.
const recordTimeout = 5 * time.Second

// recordRefusal stores the record of a refused join whose ID token was verified, or
// counts it with others like it. One refused earlier leaves a log line only, so that a
// stranger's flood costs no writes. A refusal that cannot be recorded becomes
// store_unavailable.
func (s *Service) recordRefusal(ctx context.Context, d *diary, r *Refusal) *Refusal {
	if !d.isVerified {
		return r
	}
	d.record.Code, d.record.Detail = string(r.Problem.Code), r.Problem.Detail
	d.record.Credentials = nil
	toStore, write := d.record, true
	if !d.mayHaveRecord { // one that says "granted" must be written over
		toStore, write = s.refusals.note(d.record)
	}
	if toStore.Repeated > 0 {
		d.record = withoutClaims(d.record) // the log has them of those before
	}
	if write {
		// The caller may have gone away; its record is written all the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer cancel()
		// A panic of the store must not take the line in the log along.
		if err := guarded(func() error { return s.Store.Record(ctx, toStore, s.recordUntil(d)) })(); err != nil {
			s.refusals.failed(toStore)
			return storeUnavailable(fmt.Errorf("recording the refusal %s: %w", r.Problem.Code, err))
		}
	}
	if d.recorded = toStore.JoinID == d.record.JoinID; !d.recorded {
		d.countedIn = toStore.JoinID
	}
	r.Problem.Presented = d.presented
	return r
}

// recordUntil is how long the record is kept.
func (s *Service) recordUntil(d *diary) time.Time { return d.record.Time.Add(s.RecordTTL) }

// log writes the join's one line. r is nil if the join was granted.
func (s *Service) log(ctx context.Context, d *diary, r *Refusal) {
	level, code := slog.LevelInfo, store.CodeOK
	record := d.record
	if r != nil {
		record = record.Fit()
	}
	args := []any{slog.Any("join", record), slog.Bool("recorded", d.recorded)}
	if d.countedIn != "" {
		args = append(args, slog.String("counted_in", d.countedIn))
	}
	if r != nil {
		level, code = slog.LevelWarn, string(r.Problem.Code)
		args = append(args, slog.String("code", code), slog.String("detail", r.Problem.Detail))
		if r.Reason != "" {
			args = append(args, slog.String("reason", r.Reason))
		}
		if r.Cause != nil {
			level = slog.LevelError
			args = append(args, slog.String("cause", r.Cause.Error()))
		}
	}
	s.Log.Log(ctx, level, "join", args...)
	if s.Count != nil {
		s.Count(code, d.recorded)
	}
}
