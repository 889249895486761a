package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"modernc.org/sqlite"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// FileName is the database's name in the data directory. SQLite keeps two more
// files beside it while it is open, with -wal and -shm appended.
const FileName = "gatepass.db"

// maxLockWait is how long a call waits for another process to let go of the database.
const maxLockWait = 10 * time.Second

// Options say how to open a store. The zero value creates what is missing.
type Options struct {
	// MustExist refuses a directory that holds no data (ErrNoData) instead of
	// starting a new store in it.
	MustExist bool
	// Mark is the file beside the authorities' keys by which they and the database know
	// each other, in a directory that is there once KnowKeys is called. Empty means that
	// there are no keys, and nothing is checked.
	Mark string

	lockWait time.Duration // 0 means maxLockWait; tests have less patience
}

// Store is the embedded store. It is safe for concurrent use.
type Store struct {
	dir      string
	mark     string
	opened   []openedFile
	lockWait time.Duration
	// Writes have one connection, so that those of this process queue in Go,
	// where a context ends the wait, and do not poll SQLite's lock.
	write, read *sql.DB
	stmts       statements
	changes     changes
	resources   memory[store.Key, store.Stored]
	lists       memory[rules.Kind, []store.Stored]
	names       names
	authorities memory[rules.Kind, []authority.Stored]
	ledger      ledger
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the data directory dir. Unless opts.MustExist is set
// it creates the directory (0700) and the database (0600) if they are missing.
// A database of an older version is brought up to date; a newer one is refused.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	if err := ensureFile(dir, opts.MustExist); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, mark: opts.Mark, lockWait: cmp.Or(opts.lockWait, maxLockWait)}
	if err := s.open(ctx, opts.MustExist); err != nil {
		return nil, errors.Join(s.fail(ctx, "opening the store", err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, mustExist bool) error {
	var err error
	if s.write, err = s.pool(1, "_txlock=immediate"); err != nil {
		return err
	}
	if s.read, err = s.pool(readers(), readOnly); err != nil {
		return err
	}
	if err := s.enableWAL(ctx); err != nil {
		return err
	}
	if err := s.mustHaveData(ctx, mustExist); err != nil {
		return err
	}
	migrations, err := migrations()
	if err != nil {
		return err
	}
	if err := migrate(ctx, s.write, migrations); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	watch, err := s.connector(readOnly)
	if err != nil {
		return err
	}
	if err := s.changes.open(ctx, watch); err != nil {
		return err
	}
	if err := s.noteFiles(); err != nil {
		return err
	}
	if err := openAll(ctx, s.read, readers()); err != nil {
		return err
	}
	s.startLedger()
	return nil
}

// readers is how many connections read at a time.
func readers() int { return max(4, runtime.GOMAXPROCS(0)) }

// openAll opens every connection of a pool, which keeps them. One that is opened later might meet an
// exchanged file, between the check of checkedConnector and its own first look at it.
func openAll(ctx context.Context, db *sql.DB, size int) error {
	open := make([]*sql.Conn, 0, size)
	var err error
	for len(open) < size && err == nil {
		var conn *sql.Conn
		if conn, err = db.Conn(ctx); err == nil {
			open = append(open, conn)
		}
	}
	for _, conn := range open {
		err = errors.Join(err, conn.Close())
	}
	return err
}

// mustHaveData refuses a database without anything in it, such as one that was cut off.
func (s *Store) mustHaveData(ctx context.Context, mustExist bool) error {
	var objects int
	if !mustExist {
		return nil
	}
	err := s.write.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects)
	if err == nil && objects == 0 {
		return fmt.Errorf("%w: %s is empty; restore it from a backup", ErrNoData, FileName)
	}
	return err
}

// readOnly is a parameter of connections. What they read is in memory, or the system's
// page cache has it: pages of their own take little.
const readOnly = "_pragma=query_only(1)&_pragma=cache_size(-256)"

// pool returns connections by which database/sql works.
func (s *Store) pool(size int, params string) (*sql.DB, error) {
	connector, err := s.connector(params)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// connector makes connections that never create the file: ensureFile did, with the right mode.
func (s *Store) connector(params string) (driver.Connector, error) {
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(s.dir, FileName))}
	connector, err := sqlite.NewConnector(file.String() + "?mode=rw&_defensive=1&_dqs=0&_error_rc=1" +
		"&_pragma=busy_timeout(" + strconv.FormatInt(s.lockWait.Milliseconds(), 10) + ")" +
		"&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
		"&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&" + params)
	return checkedConnector{connector, s}, err
}

// checkedConnector makes no connection to files that are not those of the connections before it. If the
// database was replaced by an empty one, SQLite would remove the log beside it, in which is what was committed last.
type checkedConnector struct {
	driver.Connector
	store *Store
}

func (c checkedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.store.checkFiles(); err != nil {
		return nil, err
	}
	return c.Connector.Connect(ctx)
}

// enableWAL turns on write-ahead logging, which the file then remembers.
func (s *Store) enableWAL(ctx context.Context) error {
	var mode string
	for until := time.Now().Add(s.lockWait); ; {
		err := s.write.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode)
		if err == nil {
			break
		}
		// SQLite does not always wait here while another process does the same.
		if !isBusy(err) || ctx.Err() != nil || time.Now().After(until) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	if mode != "wal" {
		return fmt.Errorf("the disk that holds %s cannot do write-ahead logging: use a local disk", s.dir)
	}
	return nil
}

// Close closes the store. Calls under way finish first.
func (s *Store) Close() error {
	s.ledger.close()
	errs := []error{s.changes.close()}
	// The last connection to close writes the log back into the database, so it
	// must be one that may write.
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Dir is the absolute path of the data directory.
func (s *Store) Dir() string { return s.dir }
