package join

import (
	"context"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// Ready reports why every join would be answered with 503; nil if it is not so. It reads
// what each join reads, writes one small thing to the store, and finds every authority. A
// signature is not made.
func (s *Service) Ready(ctx context.Context) error {
	if _, err := store.Locks(ctx, s.Store); err != nil {
		return storeUnavailable(err)
	}
	// A lease that ends as it begins: nobody waits for it.
	now := s.Now()
	if _, err := s.Store.Lease(ctx, "ready", now, now); err != nil {
		return storeUnavailable(err)
	}
	s.Authorities.Prepare(ctx)
	if _, err := authority.Publish(ctx, s.Authorities); err != nil {
		return signerUnavailable(err)
	}
	return nil
}
