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
	for {
		products, first, err := s.signAndUse(ctx, o, at, d)
		if err != nil {
			return nil, err
		}
		if !first.NotAfter.Before(o.notAfter) {
			d.recorded = true
			return respond(o, at, products), nil
		}
		// Another call used the ID token for the same request since the uses were read,
		// for credentials that end earlier. These may not outlive them.
		o.lifetime, err = limitToFirst(o.lifetime, first, at.second())
		d.lifetime(o.lifetime)
		if err != nil {
			return nil, err
		}
	}
}

// signAndUse returns what was signed, and the answer of the ID token's first use with
// this request.
func (s *Service) signAndUse(ctx context.Context, o order, at arrival, d *diary) (products []api.Credential, first store.Answer, err error) {
	drafts, err := s.draft(o, at.joinID)
	if err != nil {
		return nil, store.Answer{}, err
	}
	d.grant(o, at, drafts)

	var (
		wg              sync.WaitGroup
		useErr, signErr error
	)
	hadRecord := d.mayHaveRecord
	use := guarded(func() (err error) {
		d.mayHaveRecord = true
		first, err = s.Store.Use(ctx, store.Use{
			IDToken: o.job.hash, Digest: o.digest, NotAfter: o.notAfter, MaxJoins: o.rule.MaxJoins,
			KeepUntil: o.job.Expires.Add(useGrace),
			Record:    d.record, RecordUntil: s.recordUntil(d),
		})
		return err
	})
	sign := guarded(func() (err error) { products, err = s.sign(ctx, o, at, drafts); return err })
	if s.Local { // nothing is used for what cannot be signed
		if signErr = sign(); signErr == nil {
			useErr = use()
		}
	} else {
		wg.Go(func() { useErr = use() })
		wg.Go(func() { signErr = sign() })
		wg.Wait()
	}

	switch {
	case errors.Is(useErr, store.ErrUsed):
		if s.Local { // it stored nothing
			d.mayHaveRecord = hadRecord
		}
		return nil, first, alreadyUsed(o.rule)
	case useErr != nil:
		return nil, first, storeUnavailable(fmt.Errorf("storing the use of the ID token and the record: %w", useErr))
	case signErr != nil:
		return nil, first, signerUnavailable(signErr)
	}
	return products, first, nil
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
