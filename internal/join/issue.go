package join

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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

// issue is step 8. The use, the signatures and the record are made at the same
// time, and the answer is given only when all three are. If one fails, the
// record is overwritten: it may tell of a credential that was never delivered,
// never the reverse.
func (s *Service) issue(ctx context.Context, o order, at arrival, d *diary) (*api.JoinResponse, error) {
	for {
		products, first, err := s.useSignRecord(ctx, o, at, d)
		if err != nil {
			return nil, err
		}
		if !first.Before(o.notAfter) {
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

// useSignRecord returns what was signed and when the credentials of the ID
// token's first use with this request end.
func (s *Service) useSignRecord(ctx context.Context, o order, at arrival, d *diary) (products []api.Credential, first time.Time, err error) {
	drafts, err := s.draft(o, at.joinID)
	if err != nil {
		return nil, time.Time{}, err
	}
	d.grant(o, at, drafts)

	var (
		wg                         sync.WaitGroup
		useErr, signErr, recordErr error
	)
	use := guarded(func() (err error) {
		first, err = s.Store.Use(ctx, store.Use{
			IDToken: o.job.hash, Digest: o.digest, NotAfter: o.notAfter, MaxJoins: o.rule.MaxJoins,
			KeepUntil: o.job.Expires.Add(useGrace),
		})
		return err
	})
	sign := guarded(func() (err error) { products, err = s.sign(ctx, o, at, drafts); return err })
	record := guarded(func() error { return s.record(ctx, d) })
	wg.Go(func() { useErr = use() })
	wg.Go(func() { signErr = sign() })
	wg.Go(func() { recordErr = record() })
	wg.Wait()

	switch {
	case errors.Is(useErr, store.ErrUsed):
		return nil, first, alreadyUsed(o.rule)
	case useErr != nil:
		return nil, first, storeUnavailable(fmt.Errorf("storing the use of the ID token: %w", useErr))
	case signErr != nil:
		return nil, first, signerUnavailable(signErr)
	case recordErr != nil:
		return nil, first, storeUnavailable(fmt.Errorf("recording the join: %w", recordErr))
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
