package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/gatepass-ci/gatepass/pkg/rules"
)

const (
	selectChanges = `SELECT resources FROM changes`
	// How many changes of a kind there were after a count of changes, and the number of the
	// first of any kind.
	selectChangesOf = `SELECT coalesce(sum(kind = ?2), 0), coalesce(min(number), 0) FROM changed WHERE number > ?1`
)

// changes tells how often the table resources was changed, by any process: triggers count
// it, within the change. docs/decisions/0024-reads-from-memory.md. It has a connection of
// the driver's to itself: a join asks several times, and database/sql would double the cost.
type changes struct {
	mu   sync.Mutex
	conn driver.Conn
	stmt driver.Stmt
}

func (c *changes) open(ctx context.Context, from driver.Connector) (err error) {
	if c.conn, err = from.Connect(ctx); err != nil {
		return err
	}
	if c.stmt, err = c.conn.Prepare(selectChanges); err != nil {
		return fmt.Errorf("preparing %q: %w", selectChanges, err)
	}
	return nil
}

// count is the number of changes, at least those that were committed before the call. It
// is asked before what it vouches for is read, so that a change in between is seen by the
// next read.
func (c *changes) count(ctx context.Context) (int64, error) {
	ctx, err := short(ctx)
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stmt == nil {
		return 0, errClosed
	}
	rows, err := c.stmt.(driver.StmtQueryContext).QueryContext(ctx, nil)
	if err != nil {
		return 0, err
	}
	var row [1]driver.Value
	// Closed, or the connection would go on looking at the database as it is now.
	if err := errors.Join(rows.Next(row[:]), rows.Close()); err != nil {
		return 0, err
	}
	n, ok := row[0].(int64)
	if !ok || n == 0 {
		return 0, errors.New("the count of changes is damaged")
	}
	return n, nil
}

// unchanged reports whether no resource of a kind was changed after a count of changes. If
// that is not known any longer it is false.
func (s *Store) unchanged(ctx context.Context, kind rules.Kind, since int64) (bool, error) {
	ctx, err := short(ctx)
	if err != nil {
		return false, err
	}
	var n, first int64
	err = s.stmts.changesOf.QueryRowContext(ctx, since, kind).Scan(&n, &first)
	return n == 0 && first == since+1, err
}

func (c *changes) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	if c.stmt != nil { // first: SQLite keeps a connection open that has statements
		errs = append(errs, c.stmt.Close())
	}
	if c.conn != nil {
		errs = append(errs, c.conn.Close())
	}
	c.conn, c.stmt = nil, nil
	return errors.Join(errs...)
}
