package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// Migrate takes steps of a test's own.
func (s *Store) Migrate(ctx context.Context, steps []string) error {
	return migrate(ctx, s.write, steps)
}

// Migrations are the steps of this version.
func Migrations() ([]string, error) { return migrations() }

// LimitPages makes the disk look full once the database has n pages.
func (s *Store) LimitPages(ctx context.Context, n int) error {
	_, err := s.write.ExecContext(ctx, "PRAGMA max_page_count="+strconv.Itoa(n))
	return err
}

// Pragma reads a setting of a connection that writes and of one that reads.
func (s *Store) Pragma(ctx context.Context, name string) (write, read string, err error) {
	if err = s.write.QueryRowContext(ctx, "PRAGMA "+name).Scan(&write); err != nil {
		return
	}
	err = s.read.QueryRowContext(ctx, "PRAGMA "+name).Scan(&read)
	return
}

// Impatient are Options with another wait for locks.
func Impatient(wait time.Duration) Options { return Options{lockWait: wait} }

// MaxInMemory and those below it are limits.
const (
	MaxInMemory = maxInMemory
	PurgeBatch  = purgeBatch

	MaxWaitingRefusals = maxWaitingRefusals
)

// InMemory is how much is kept of resources and of their lists, in bytes as stored.
func (s *Store) InMemory() (resources, lists int) {
	sum := 0
	for _, e := range s.resources.entries {
		sum += e.size
	}
	if sum != s.resources.size {
		panic("the sizes do not add up")
	}
	return s.resources.size, s.lists.size
}

// Waiting is how many writes of the ledger wait for a transaction.
func (s *Store) Waiting() int { return s.ledger.len() }

// Stall is a write of the ledger that closes begun and ends when goOn is closed.
func (s *Store) Stall(ctx context.Context, begun chan<- struct{}, goOn <-chan struct{}) error {
	return s.commit(ctx, func(*sql.Tx) error {
		close(begun)
		<-goOn
		return nil
	})
}

// Panic is a write of the ledger that panics.
func (s *Store) Panic(ctx context.Context) error {
	return s.commit(ctx, func(*sql.Tx) error { panic("this one panics") })
}

// Names are those of a kind in memory, which are the same map until all were read again; nil
// if there are too many.
func (s *Store) Names(kind rules.Kind) map[string]bool { return s.names.kinds[kind].set }

// ReadAtOnce reads by n connections at once, which makes those that there are not yet.
func (s *Store) ReadAtOnce(ctx context.Context, n int) error {
	var errs []error
	var objects int
	for range n {
		conn, err := s.read.Conn(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		defer conn.Close()
		errs = append(errs, conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects))
		if objects == 0 {
			errs = append(errs, errors.New("it is an empty database"))
		}
	}
	return errors.Join(errs...)
}

// ListInMemory is the list of a kind in memory.
func (s *Store) ListInMemory(kind rules.Kind) []store.Stored { return s.lists.get(kind).value }
