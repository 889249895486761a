package admin

import "github.com/gatepass-ci/gatepass/internal/store"

// Store is what administrators work on, whichever store it is.
type Store interface {
	store.Store
	AuthorityStore
}
