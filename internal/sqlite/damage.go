package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	// maxFound is how many faults are told of each kind.
	maxFound = 10
	// checkedRecords is how many of the newest records are read back.
	checkedRecords = 1000
	// CheckedBytes is how large a database may be to be checked whole when the server starts:
	// a GB takes some seconds.
	CheckedBytes = 1 << 30
)

// Damage is what was found of a store that cannot be trusted, or cannot be read.
type Damage struct {
	// Database says what is wrong with the database itself: nothing may be granted by it.
	Database []error
	// Records are those of the newest that cannot be read: what they tell is lost.
	Records []error
	// Unchecked says that the database is larger than was to be checked: only the newest
	// records were read.
	Unchecked bool
}

// FindDamage looks whether what is stored can be read back: the structure of the whole
// database, unless it has more than maxBytes, and the newest records.
func (s *Store) FindDamage(ctx context.Context, maxBytes int64) (Damage, error) {
	var d Damage
	for _, check := range []func() error{s.checkFiles, func() error { return s.CheckGeneration(ctx) }} {
		if err := check(); err != nil {
			d.Database = append(d.Database, err)
		}
	}
	var bytes int64
	if err := s.read.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&bytes); err != nil {
		return d, s.fail(ctx, "looking for damage", err)
	}
	if d.Unchecked = bytes > maxBytes; !d.Unchecked {
		if err := s.quickCheck(ctx); err != nil {
			d.Database = append(d.Database, err)
		}
	}
	for _, err := range s.Joins(ctx, store.Query{Limit: checkedRecords}) {
		if _, damaged := errors.AsType[*store.DamagedError](err); damaged && len(d.Records) < maxFound {
			d.Records = append(d.Records, err)
		} else if err != nil && !damaged {
			d.Database = append(d.Database, err)
		}
	}
	return d, ctx.Err()
}

// quickCheck has SQLite look at every page (https://www.sqlite.org/pragma.html#pragma_quick_check).
func (s *Store) quickCheck(ctx context.Context) error {
	rows, err := s.read.QueryContext(ctx, fmt.Sprintf("PRAGMA quick_check(%d)", maxFound))
	found, err := collect(rows, err, func(rows *sql.Rows) (text string, err error) { return text, rows.Scan(&text) })
	if err != nil {
		return s.fail(ctx, "checking the database", err)
	}
	if len(found) == 1 && found[0] == "ok" {
		return nil
	}
	return fmt.Errorf("the database in %s is damaged: %q: %s", s.dir, found, s.restore())
}
