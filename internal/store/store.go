package store

import (
	"context"
	"iter"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Store is all that a store can do. It comes in the groups that its users need:
// joins read Resources and KeySets and leave things in the Ledger; issuers' keys
// are looked after in KeySets; administrators use the rest.
//
// A store keeps times to the nanosecond and returns them in UTC; those whose comment
// says whole seconds are rounded up, so that nothing ends or is deleted too early.
// Reads are consistent: a change that a caller was told is stored is seen by the
// next read. A stored item that cannot be decoded is an error that names it, never
// as if it did not exist. A call whose context has ended returns its error. All
// calls may be made at once, by any number of instances.
//
// internal/storetest holds every store to each sentence here.
type Store interface {
	Resources
	KeySets
	Ledger
	Records
	Revocations
}

// ResourceReader reads what administrators apply. A resource that cannot be decoded
// is an *InvalidError, never passed over.
type ResourceReader interface {
	// Get returns one resource; ErrNotFound if it does not exist.
	Get(ctx context.Context, kind rules.Kind, name string) (Stored, error)
	// GetEach returns the resources that exist of those named, in the order of
	// names. A name that is there twice yields one resource.
	GetEach(ctx context.Context, kind rules.Kind, names []string) ([]Stored, error)
	// List returns all resources of a kind, by name. If some cannot be decoded it
	// returns the others, and an error of errors.Join with an *InvalidError for each.
	List(ctx context.Context, kind rules.Kind) ([]Stored, error)
}

// Resources reads and changes what administrators apply.
type Resources interface {
	ResourceReader
	// Write makes 1 to MaxChanges changes, of MaxBytes or less, to different
	// resources: all of them or none. A *ConflictError says that a resource is no
	// longer as it was. A removal without a revision is refused, and so is a change
	// whose resource has another kind or name.
	Write(ctx context.Context, changes []Change) error
}

// KeySetReader reads issuers' keys.
type KeySetReader interface {
	// KeySet returns the key set that was last stored for an issuer; ErrNotFound if
	// none was.
	KeySet(ctx context.Context, issuer string) (KeySet, error)
}

// KeySets looks after issuers' keys.
type KeySets interface {
	KeySetReader
	// KeySets returns all stored key sets, by issuer.
	KeySets(ctx context.Context) ([]KeySet, error)
	// Issuers returns every issuer that a stored token rule names, once, sorted.
	// A token rule that cannot be decoded does not keep it from the others'.
	Issuers(ctx context.Context) ([]string, error)
	// PutKeySet stores a good set and clears its failure. A pinned set replaces
	// whatever is stored. Any other does not replace a pinned one (ErrPinned), nor
	// one that was fetched later (ErrFetchedLater); one that was fetched at the same
	// time is replaced, and so is one that was fetched later by more than
	// MaxClockSkew: no two fetches at once begin that far apart, so that a clock was wrong.
	PutKeySet(ctx context.Context, ks KeySet) error
	// KeySetFailed notes a fetch that failed and leaves the keys as they are. One
	// that was tried before what is stored tells nothing and changes nothing, unless
	// what is stored is later by more than MaxClockSkew.
	KeySetFailed(ctx context.Context, issuer string, at time.Time, failure string) error
	// Unpin makes a pinned key set one that is fetched again; ErrNotFound if there
	// is none. It changes nothing if the set is not pinned.
	Unpin(ctx context.Context, issuer string) error
}

// Ledger is what joins leave behind: what each ID token was used for, and what each
// join came to.
type Ledger interface {
	// Uses returns the answer to each use of an ID token, by the digest of the
	// request; it is empty if there are none. It may lag behind Use by what is
	// under way; Use decides.
	Uses(ctx context.Context, idToken string) (map[string]Answer, error)
	// Use stores one use of an ID token and the record of its join, both durable
	// before it returns without an error. If the token was used with the same digest
	// before, it returns the answer of that first use, counts one more and stores the
	// record alone, whatever MaxJoins is by now; if the use has MaxAnswers answers,
	// ErrAnswered. Otherwise, if the token has fewer than MaxJoins
	// uses, this is another one and its own answer is returned; if it has not,
	// ErrUsed, and nothing is used. Of any number of concurrent calls, never more
	// than MaxJoins digests succeed, and never more than MaxAnswers of one digest; all
	// of these get one JoinID and one NotAfter. A store that sends a write again may
	// count one answer more than once. A use is forgotten no earlier than KeepUntil,
	// whatever clock of an instance was wrong meanwhile.
	//
	// What cannot be encoded is refused before anything is stored. An error of the
	// embedded store leaves neither the use nor the record. A store that several
	// machines share may leave one of them: then the caller grants nothing, and
	// writes over the record by Record.
	Use(ctx context.Context, u Use) (Answer, error)
	// Record stores r, in place of an earlier one with the same JoinID. It is
	// durable before it returns. The record may be deleted after keepUntil, in
	// whole seconds. r is not changed.
	Record(ctx context.Context, r Record, keepUntil time.Time) error
	// Lease hands out the right to do something, to one holder at a time across all
	// instances. It reports whether the caller got it; the lease cannot be given back
	// and ends at until: from then on it is free. It is granted if nobody holds it
	// at now; the holder has no more right to it than others. A lease that ends after
	// until by more than MaxClockSkew was taken by a clock that was wrong, and holds nothing.
	Lease(ctx context.Context, name string, now, until time.Time) (bool, error)
}

// Records reads what joins came to.
type Records interface {
	// Join returns the record of a join id; ErrNotFound if there is none.
	Join(ctx context.Context, id string) (Record, error)
	// Joins yields the records that fit q, newest first unless q says otherwise, and
	// reads them as they are asked for: a caller that stops early has not read the
	// rest. Records of one millisecond come in any order. Numbers among their claims
	// are json.Number. A *DamagedError stands for one record, and others may follow
	// it; any other error is the last.
	Joins(ctx context.Context, q Query) iter.Seq2[Record, error]
}

// RevocationReader reads what was revoked.
type RevocationReader interface {
	// Revocations returns all revocations, in any order, those included whose
	// certificates have ended.
	Revocations(ctx context.Context) ([]Revocation, error)
}

// Revocations looks after what was revoked.
type Revocations interface {
	RevocationReader
	// Revoke stores revocations, each unless there is one of its ID already, and
	// returns how many it added. What was stored before an error stays stored: the
	// same call again completes it.
	Revoke(ctx context.Context, all []Revocation) (int, error)
	// Forget removes the revocations whose certificates have all ended before t,
	// and returns how many.
	Forget(ctx context.Context, t time.Time) (int, error)
}
