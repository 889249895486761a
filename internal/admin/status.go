package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/jwks"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// States of an issuer's keys.
const (
	StateFresh   = "fresh"
	StatePinned  = "pinned"
	StateFailing = "failing" // the last fetch failed; the keys are still used
	StateStale   = "stale"   // too old: joins are refused
	StateMissing = "missing" // never fetched: joins are refused
)

// IssuerStatus is how an issuer's keys stand.
type IssuerStatus struct {
	Issuer    string    `json:"issuer"`
	State     string    `json:"state"`
	Keys      int       `json:"keys"`
	FetchedAt time.Time `json:"fetched_at,omitzero"`
	TriedAt   time.Time `json:"tried_at,omitzero"`
	Failure   string    `json:"failure,omitempty"`
}

// Status tells how a key set stands.
func Status(ks store.KeySet, now time.Time) IssuerStatus {
	s := IssuerStatus{
		Issuer: ks.Issuer, Keys: jwks.Count(ks.JWKS),
		FetchedAt: ks.FetchedAt, TriedAt: ks.TriedAt, Failure: ks.Failure,
	}
	switch {
	case len(ks.JWKS) == 0:
		s.State = StateMissing
	case ks.Pinned:
		s.State = StatePinned
	case ks.Stale(now):
		s.State = StateStale
	case ks.Failure != "":
		s.State = StateFailing
	default:
		s.State = StateFresh
	}
	return s
}

// Issuers returns how the keys stand of every issuer that token rules name, and
// of every other that has keys stored.
func Issuers(ctx context.Context, s store.KeySets, now time.Time) ([]IssuerStatus, error) {
	sets, err := s.KeySets(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the key sets: %w", err)
	}
	var all []IssuerStatus
	known := map[string]bool{}
	for _, ks := range sets {
		known[ks.Issuer] = true
		all = append(all, Status(ks, now))
	}
	named, err := s.Issuers(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the issuers of token rules: %w", err)
	}
	for _, issuer := range named {
		if !known[issuer] {
			all = append(all, Status(store.KeySet{Issuer: issuer}, now))
		}
	}
	return all, nil
}

// Overview is the state of a service at a glance.
type Overview struct {
	Resources map[rules.Kind]int `json:"resources"`
	Issuers   []IssuerStatus     `json:"issuers"`
	// Granted and Refused count the joins of the last hour that have a record or are
	// counted in one. Of those that are counted there may be up to twice as many.
	Granted int            `json:"granted"`
	Refused int            `json:"refused"`
	Codes   map[string]int `json:"codes,omitempty"` // of those refused
	// Damaged are the records of the last hour that cannot be read, by their join ids.
	Damaged []string `json:"damaged,omitempty"`
}

// Look gathers an Overview.
func Look(ctx context.Context, s store.Store, now time.Time) (Overview, error) {
	o := Overview{Resources: map[rules.Kind]int{}, Codes: map[string]int{}}
	for _, kind := range kindOrder {
		stored, err := s.List(ctx, kind)
		if err != nil {
			return o, fmt.Errorf("reading every %s: %w", kind, err)
		}
		o.Resources[kind] = len(stored)
	}
	var err error
	if o.Issuers, err = Issuers(ctx, s, now); err != nil {
		return o, err
	}
	for r, err := range s.Joins(ctx, store.Query{Since: now.Add(-time.Hour)}) {
		if damaged, ok := errors.AsType[*store.DamagedError](err); ok {
			o.Damaged = append(o.Damaged, damaged.JoinID)
			continue
		}
		if err != nil {
			return o, fmt.Errorf("reading the joins of the last hour: %w", err)
		}
		if r.Code == store.CodeOK {
			o.Granted++
			continue
		}
		refused := max(1, r.Repeated)
		o.Refused += refused
		o.Codes[r.Code] += refused
	}
	return o, nil
}
