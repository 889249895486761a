package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// refreshEvent asks for one issuer; without the member, as the schedule sends it, for all.
type refreshEvent struct {
	Issuer *string `json:"issuer,omitempty"`
}

// Summary is what the function jwks-refresh answers, and logs.
type Summary struct {
	// Issuers is how many were to be refreshed.
	Issuers int `json:"issuers"`
	// Unchanged is how many have the keys that they had, pinned ones among them.
	Unchanged int       `json:"unchanged"`
	Changed   []Changed `json:"changed,omitempty"`
	Failed    []Failed  `json:"failed,omitempty"`
	// Stale are the issuers that have no current key set now: joins of theirs are refused.
	Stale []string `json:"stale,omitempty"`
}

// Changed is an issuer whose keys are no longer what they were.
type Changed struct {
	Issuer  string   `json:"issuer"`
	Keys    int      `json:"keys"`
	Added   []string `json:"added,omitempty"`   // kids
	Removed []string `json:"removed,omitempty"` // kids
}

// Failed is an issuer whose keys could not be had.
type Failed struct {
	Issuer string `json:"issuer"`
	Reason string `json:"reason"`
}

// Refresh handles the events of jwks-refresh.
type Refresh struct {
	Store     store.KeySets
	Refresher *jwks.Refresher
	Metrics   *Metrics
	Now       func() time.Time
	Log       *slog.Logger
}

// Handle refreshes what the event asks for, logs the summary and returns it. Its
// error says that nothing was refreshed: the one issuer that was asked for, or any of all.
func (r *Refresh) Handle(ctx context.Context, event json.RawMessage) (*Summary, error) {
	issuer, err := parseRefresh(event)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerTime))
		defer cancel()
	}
	var results []jwks.Result
	if issuer != "" {
		results, err = r.one(ctx, issuer)
	} else {
		results, err = r.Refresher.RefreshAll(ctx)
	}
	if err != nil {
		return nil, err
	}
	s := r.summarize(ctx, results)
	r.Metrics.CountRefresh(len(s.Stale), len(s.Failed))
	level := slog.LevelInfo
	if len(s.Failed) > 0 {
		level = slog.LevelWarn
	}
	r.Log.Log(ctx, level, "refresh", "summary", s)
	return s, s.err()
}

// parseRefresh returns the issuer that the event asks for, or "" for all.
func parseRefresh(event json.RawMessage) (string, error) {
	var e *refreshEvent
	if err := json.Unmarshal(event, &e); err != nil || e == nil {
		return "", errors.New(`the event must be a JSON object: {} for all issuers, {"issuer": "https://…"} for one`)
	}
	if e.Issuer == nil {
		return "", nil
	}
	if *e.Issuer == "" {
		return "", errors.New("the event's issuer is empty; leave it out for all issuers")
	}
	return *e.Issuer, nil
}

// one refreshes one issuer, if a stored token names it: whoever may invoke this
// function must not be able to make it dial anything else.
func (r *Refresh) one(ctx context.Context, issuer string) ([]jwks.Result, error) {
	issuers, err := r.Store.Issuers(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the issuers of token rules: %w", err)
	}
	if !slices.Contains(issuers, issuer) {
		return nil, fmt.Errorf("no token rule names the issuer %q", issuer)
	}
	return []jwks.Result{r.Refresher.RefreshOne(ctx, issuer)}, nil
}

func (r *Refresh) summarize(ctx context.Context, results []jwks.Result) *Summary {
	s := &Summary{Issuers: len(results)}
	for _, res := range results {
		switch {
		case res.Err != nil:
			s.Failed = append(s.Failed, Failed{Issuer: res.Issuer, Reason: res.Err.Error()})
			if r.stale(ctx, res.Issuer) {
				s.Stale = append(s.Stale, res.Issuer)
			}
		case len(res.Added)+len(res.Removed) > 0:
			s.Changed = append(s.Changed, Changed{Issuer: res.Issuer, Keys: res.Keys, Added: res.Added, Removed: res.Removed})
		default:
			s.Unchanged++
		}
	}
	return s
}

// stale reports whether an issuer that could not be refreshed has no current key
// set. One that cannot be read counts as such: joins could not read it either.
func (r *Refresh) stale(ctx context.Context, issuer string) bool {
	set, err := r.Store.KeySet(ctx, issuer)
	if errors.Is(err, store.ErrNotFound) {
		return true
	}
	return err != nil || set.Stale(r.Now())
}

// err is the error of a refresh that refreshed nothing.
func (s *Summary) err() error {
	switch {
	case len(s.Failed) == 0 || len(s.Failed) < s.Issuers:
		return nil
	case s.Issuers == 1:
		return errors.New(s.Failed[0].Reason)
	}
	return fmt.Errorf("none of %d issuers could be refreshed; the first: %s", s.Issuers, s.Failed[0].Reason)
}
