package admin

import "github.com/gatepass-ci/gatepass/internal/store"

// Reasons is what a verdict comes from: the rules, locks and key sets of a store,
// or the resources of files.
type Reasons interface {
	store.ResourceReader
	store.KeySetReader
}
