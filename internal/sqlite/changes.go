package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

const selectChanges = `SELECT resources FROM changes`

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
