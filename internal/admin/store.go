package admin

import (
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/jwks"
)

// Store is what administrators work on, whichever store it is.
type Store interface {
	Resources
	Joins
	KeySets
	AuthorityStore
	Revocations
	join.Rules
	join.Locks
	jwks.Store
}
