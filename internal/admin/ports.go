package admin

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// What one Write takes.
const (
	MaxChanges = 100
	MaxBytes   = 3 << 20 // of its resources together, as rules.Encode writes them
)

// Resources stores resources. Reads are consistent. A resource that is stored
// but cannot be decoded is an *InvalidError, never passed over.
type Resources interface {
	// Get returns one resource; join.ErrNotFound if it does not exist.
	Get(ctx context.Context, kind rules.Kind, name string) (Stored, error)
	// List returns all resources of a kind, by name. If some cannot be decoded it
	// returns the others, and an error of errors.Join with an *InvalidError for each.
	List(ctx context.Context, kind rules.Kind) ([]Stored, error)
	// Write makes 1 to MaxChanges changes, of MaxBytes or less, to different
	// resources: all of them or none. A *ConflictError says that a resource is no
	// longer as it was. A removal without a revision is refused, and so is a change
	// whose resource has another kind or name.
	Write(ctx context.Context, changes []Change) error
}

// Stored is a resource as stored.
type Stored struct {
	Resource  rules.Resource
	Revision  string    // changes with every Write of the resource; none is used twice
	UpdatedAt time.Time // of that Write
	Edited    bool      // as that Write's Change had it
}

// Change puts or removes one resource.
type Change struct {
	Kind     rules.Kind
	Name     string
	Resource rules.Resource // nil removes it
	// Revision is the one that must be stored now; empty if it must not exist.
	Revision string
	At       time.Time
	// Edited says that the change was made by hand and is in no file that is
	// applied, so that the next apply does not undo it unseen.
	Edited bool
}

// ConflictError says that a resource was changed by someone else meanwhile.
type ConflictError struct {
	Kind rules.Kind
	Name string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s/%s was changed by someone else meanwhile", e.Kind, e.Name)
}

// InvalidError says that a resource is stored and cannot be decoded: a newer
// version wrote it, or it was damaged.
type InvalidError struct {
	Kind rules.Kind
	Name string
	// Revision is that by which Write replaces or removes it; empty if it has none.
	Revision string
	Err      error
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s/%s is stored but not valid: apply it again, or remove it: %v", e.Kind, e.Name, e.Err)
}

func (e *InvalidError) Unwrap() error { return e.Err }

// Joins reads records.
type Joins interface {
	// Joins yields the records that fit q, newest first unless q says otherwise, and
	// reads them as they are asked for: who stops early has not read the rest.
	// Records of one millisecond come in any order. Numbers among their claims are
	// json.Number. A *DamagedError stands for one record, and others may follow it;
	// any other error is the last.
	Joins(ctx context.Context, q Query) iter.Seq2[join.Record, error]
	// Join returns the record of a join id; join.ErrNotFound if there is none.
	Join(ctx context.Context, id string) (join.Record, error)
}

// Query chooses records. Its zero fields choose all.
type Query struct {
	Since, Until time.Time // Since <= time < Until
	Bot, Token   string
	Code         string // join.CodeOK or a code of a refusal
	Refused      bool   // only those whose code is not join.CodeOK
	Limit        int    // at most so many; 0 means all
	OldestFirst  bool
}

// DamagedError says that a record is stored and cannot be decoded.
type DamagedError struct {
	JoinID string
	Err    error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the record %s is stored but not valid: %v", e.JoinID, e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// Revocations stores what was revoked.
type Revocations interface {
	join.Revocations
	// Revoke stores revocations, each unless there is one of its ID already, and
	// returns how many it added. What was stored before an error stays stored: the
	// same call again completes it.
	Revoke(ctx context.Context, all []join.Revocation) (int, error)
	// Forget removes the revocations whose certificates have all ended before t,
	// and returns how many.
	Forget(ctx context.Context, t time.Time) (int, error)
}

// KeySets looks after stored key sets, beside what jwks.Store does.
type KeySets interface {
	// KeySets returns all stored key sets, by issuer.
	KeySets(ctx context.Context) ([]join.KeySet, error)
	// Unpin makes a pinned key set one that is fetched again; join.ErrNotFound
	// if there is none. It changes nothing if the set is not pinned.
	Unpin(ctx context.Context, issuer string) error
}
