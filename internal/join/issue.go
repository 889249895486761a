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

// issue is step 8. The claim, the signatures and the record are made at the same
// time, and the answer is given only when all three are. If one fails, the
// record is overwritten: it may tell of a credential that was never delivered,
// never the reverse.
func (a *attempt) issue(ctx context.Context) (*api.JoinResponse, *Refusal) {
	for {
		products, first, refusal := a.claimSignRecord(ctx)
		if refusal != nil {
			return nil, refusal
		}
		if !first.Before(a.notAfter) {
			a.recorded = true
			return a.respond(products), nil
		}
		// The same request was claimed by another call since the claim was read,
		// for credentials that end earlier. These may not outlive them.
		if err := a.limitToFirst(first); err != nil {
			return nil, asRefusal(err)
		}
	}
}

// claimSignRecord returns what was signed and when the credentials of the ID
// token's first use with this request end.
func (a *attempt) claimSignRecord(ctx context.Context) ([]api.Credential, time.Time, *Refusal) {
	drafts, err := a.draft()
	if err != nil {
		return nil, time.Time{}, asRefusal(err)
	}
	a.record.Code = store.CodeOK
	a.record.TTLSeconds = int64(a.notAfter.Sub(a.now) / time.Second)
	a.record.Credentials = a.record.Credentials[:0]
	for _, d := range drafts {
		a.record.Credentials = append(a.record.Credentials, d.record(a.notAfter))
	}

	var (
		wg                           sync.WaitGroup
		first                        time.Time
		products                     []api.Credential
		claimErr, signErr, recordErr error
	)
	claim := guarded(func() (err error) {
		first, err = a.Store.Use(ctx, store.Use{
			IDToken: a.record.IDToken, Digest: a.digest, NotAfter: a.notAfter, MaxJoins: a.rule.MaxJoins,
			KeepUntil: a.verified.Expires.Add(claimGrace),
		})
		return err
	})
	sign := guarded(func() (err error) { products, err = a.sign(ctx, drafts); return err })
	record := guarded(func() error { return a.Store.Record(ctx, a.record, a.record.Time.Add(a.RecordTTL)) })
	wg.Go(func() { claimErr = claim() })
	wg.Go(func() { signErr = sign() })
	wg.Go(func() { recordErr = record() })
	wg.Wait()

	switch {
	case errors.Is(claimErr, store.ErrUsed):
		return nil, first, a.alreadyUsed()
	case claimErr != nil:
		return nil, first, storeUnavailable(fmt.Errorf("claiming the ID token: %w", claimErr))
	case signErr != nil:
		return nil, first, signerUnavailable(signErr)
	case recordErr != nil:
		return nil, first, storeUnavailable(fmt.Errorf("recording the join: %w", recordErr))
	}
	return products, first, nil
}

// respond builds the answer.
func (a *attempt) respond(products []api.Credential) *api.JoinResponse {
	return &api.JoinResponse{
		JoinID:       a.record.JoinID,
		Bot:          a.bot.Name(),
		ExpiresAt:    a.notAfter.UTC(),
		TTLSeconds:   a.record.TTLSeconds,
		TTLLimitedBy: a.record.TTLLimitedBy,
		Credentials:  products,
		Authorities:  *a.authorities,
	}
}
