package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatepass-ci/gatepass/internal/words"
)

// fail says what was being done when err happened and, where that is known,
// what to do about it. The end of ctx is reported as such.
func (s *Store) fail(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	if advice := s.advice(primaryCode(err)); advice != "" {
		return fmt.Errorf("%s in %s: %w: %s", doing, s.dir, err, advice)
	}
	return fmt.Errorf("%s in %s: %w", doing, s.dir, err)
}

// advice is what to do about an error of SQLite.
func (s *Store) advice(code int) string {
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Sprintf("another process held the database for more than %s: see what else uses this directory", s.lockWait)
	case sqlite3.SQLITE_FULL:
		return "the disk is full: free some space"
	case sqlite3.SQLITE_CORRUPT:
		return "the database is damaged: " + s.restore()
	case sqlite3.SQLITE_NOTADB:
		return FileName + " is not a database: " + s.restore()
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return "the directory and every file in it must be writable: give them to the user that runs this command"
	case sqlite3.SQLITE_IOERR:
		return "the disk does not work: see the system's log"
	}
	return ""
}

// restore says what to do about a database that is lost.
func (s *Store) restore() string {
	return fmt.Sprintf("restore the whole directory from a backup; if there is none, move %s and the files whose names begin with it away, and begin with an empty database by: gatepassctl serve --data %s --new",
		filepath.Join(s.dir, FileName), words.ShellWord(s.dir))
}

// primaryCode is SQLite's result code without its extension, 0 for another error
// (https://www.sqlite.org/rescode.html).
func primaryCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return sqlite3.SQLITE_OK
}

func isBusy(err error) bool { return primaryCode(err) == sqlite3.SQLITE_BUSY }
