package store

import (
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// What one Write takes.
const (
	MaxChanges = 100
	MaxBytes   = 3 << 20 // of its resources together, as rules.Encode writes them
)

// Key names a resource.
type Key struct {
	Kind rules.Kind
	Name string
}

// KeyOf is the key of a resource.
func KeyOf(r rules.Resource) Key { return Key{r.Kind(), r.Name()} }

// String is how people write a key: kind/name.
func (k Key) String() string { return string(k.Kind) + "/" + k.Name }

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

// KindAuthority is what the keys of authorities are stored under. They are no
// resources: nobody applies them, and get does not show them.
const KindAuthority rules.Kind = "authority"
