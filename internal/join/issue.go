package join

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// order is what a join is issued once its use and its record are stored.
type order struct {
	allowed
	grants []grant
	digest string // of the request
	lifetime
	authorities *api.Authorities
}

// issue is step 8. The signatures are made while the use and the record are stored,
// by one call, or before that where nothing is remote; the answer is given only when all three are there. If one fails,
// the record is overwritten: it may tell of a credential that was never delivered,
// never the reverse.
func (s *Service) issue(ctx context.Context, o order, at arrival, d *diary) (*api.JoinResponse, error) {
	var first store.Answer
	products, err := s.signAndStore(ctx, o, at, d, func() (err error) {
		first, err = s.Store.Use(ctx, store.Use{
			IDToken: o.job.hash, Digest: o.digest, NotAfter: o.notAfter, MaxJoins: o.rule.MaxJoins,
			MaxAnswers: MaxAnswers, IssuedAt: o.job.IssuedAt, KeepUntil: o.job.Expires.Add(useGrace),
			Record: d.record, RecordUntil: s.recordUntil(d),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	if first.JoinID != o.first {
		// Another call used the ID token for the same request since the uses were read.
		// What was signed here is not its set of certificates, and is thrown away.
		o.lifetime, err = o.again(first, at.second())
		d.lifetime(o.lifetime)
		if err != nil {
			return nil, err
		}
		products, err = s.signAndStore(ctx, o, at, d, func() error { return s.Store.Record(ctx, d.record, s.recordUntil(d)) })
		if err != nil {
			return nil, err
		}
	}
	d.recorded = true
	return respond(o, at, products), nil
}

// signAndStore returns what was signed when save has stored that it was.
func (s *Service) signAndStore(ctx context.Context, o order, at arrival, d *diary, save func() error) (products []api.Credential, err error) {
	drafts, err := draftAll(o)
	if err != nil {
		return nil, err
	}
	d.grant(o, at, drafts)

	var (
		wg               sync.WaitGroup
		saveErr, signErr error
	)
	saved := guarded(func() error { d.mayHaveRecord = true; return save() })
	sign := guarded(func() (err error) { products, err = s.sign(ctx, o, at, drafts); return err })
	if s.Local { // nothing is used for what cannot be signed
		if signErr = sign(); signErr == nil {
			saveErr = saved()
		}
	} else {
		wg.Go(func() { saveErr = saved() })
		wg.Go(func() { signErr = sign() })
		wg.Wait()
	}

	switch {
	case errors.Is(saveErr, store.ErrUsed) || errors.Is(saveErr, store.ErrAnswered):
		if s.Local { // it stored nothing
			d.mayHaveRecord = false
		}
		if errors.Is(saveErr, store.ErrUsed) {
			return nil, alreadyUsed(o.rule)
		}
		return nil, answeredTooOften()
	case saveErr != nil:
		return nil, storeUnavailable(fmt.Errorf("storing the use of the ID token and the record: %w", saveErr))
	case signErr != nil:
		return nil, signerUnavailable(signErr)
	}
	return products, nil
}

// respond builds the answer.
func respond(o order, at arrival, products []api.Credential) *api.JoinResponse {
	return &api.JoinResponse{
		JoinID:       at.joinID,
		Bot:          o.bot.Name(),
		ExpiresAt:    o.notAfter.UTC(),
		TTLSeconds:   o.seconds(at.second()),
		TTLLimitedBy: o.limitedBy,
		Credentials:  products,
		Authorities:  *o.authorities,
	}
}
