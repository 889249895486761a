package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	selectNames = `SELECT name FROM resources WHERE kind = ?1`
	// What changed after a count of changes, in order, and whether it exists now.
	selectChangedNames = `SELECT number, kind, name, EXISTS (SELECT 1 FROM resources r WHERE r.kind = c.kind AND r.name = c.name)
		FROM changed c WHERE number > ?1 ORDER BY number`
)

// names are those of all resources of a kind. With them it costs no more to learn that a
// resource does not exist than to read one that does, which would tell a stranger that
// tries names which of them exist. A name that was asked for is not kept: a stranger may
// ask for any. A change costs what it changed, not as much as there are names.
type names struct {
	mu    sync.Mutex
	kinds map[rules.Kind]knownNames
}

// knownNames are the names when the table resources had so many changes, or later.
type knownNames struct {
	set     map[string]bool // nil if there are too many to be kept: each is asked for
	size    int             // in bytes
	changes int64           // 0 if nothing was read yet
}

func (k *knownNames) add(name string) {
	if k.set == nil || k.set[name] {
		return
	}
	k.set[name] = true
	if k.size += len(name); k.size > maxInMemory {
		k.set, k.size = nil, 0
	}
}

func (k *knownNames) remove(name string) {
	if k.set[name] {
		delete(k.set, name)
		k.size -= len(name)
	}
}

// missing reports whether the names in memory, as of so many changes, lack one. What is in
// memory is brought up to date by one caller, and the others wait for it. It does not read
// all names: see learnNames.
func (s *Store) missing(ctx context.Context, key store.Key, changes int64) (bool, error) {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	known := s.names.kinds[key.Kind]
	if known.changes == 0 {
		return false, nil
	}
	if known.changes < changes {
		kept, err := s.followNames(ctx, key.Kind, &known)
		if err != nil {
			return false, err
		}
		if !kept {
			known = knownNames{}
		}
		s.names.kinds[key.Kind] = known
	}
	return known.set != nil && !known.set[key.Name], nil
}

// learnNames reads all names of a kind, unless they are known. It is called when a name was
// not found: a command that reads one resource out of many needs no other's name.
func (s *Store) learnNames(ctx context.Context, kind rules.Kind, changes int64) error {
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if s.names.kinds[kind].changes != 0 {
		return nil
	}
	known, err := s.readNames(ctx, kind, changes)
	if err != nil {
		return err
	}
	if s.names.kinds == nil {
		s.names.kinds = map[rules.Kind]knownNames{}
	}
	s.names.kinds[kind] = known
	return nil
}

// followNames brings names up to date by what changed since they were read. It reports
// false if that is not known any longer.
func (s *Store) followNames(ctx context.Context, kind rules.Kind, known *knownNames) (bool, error) {
	first := known.changes + 1
	next := first
	rows, err := queryShort(ctx, s.stmts.changedNames, known.changes)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var (
			number int64
			of     rules.Kind
			name   string
			exists bool
		)
		if err := rows.Scan(&number, &of, &name, &exists); err != nil {
			return none, err
		}
		if number == next { // else the changes before it are forgotten
			next++
		}
		switch {
		case of != kind:
		case exists:
			known.add(name)
		default:
			known.remove(name)
		}
		return none, nil
	})
	if err != nil || next == first {
		return false, err
	}
	known.changes = next - 1
	return true, nil
}

func (s *Store) readNames(ctx context.Context, kind rules.Kind, changes int64) (knownNames, error) {
	known := knownNames{set: map[string]bool{}, changes: changes}
	rows, err := queryShort(ctx, s.stmts.names, kind)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var name string
		err = rows.Scan(&name)
		known.add(name)
		return none, err
	})
	return known, err
}
