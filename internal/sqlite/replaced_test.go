package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
)

// SQLite removes the write-ahead log beside an empty database, and with it all that was committed and is not
// in the database yet. A store that has the database open makes no connection to another one in its place.
func TestAnEmptyDatabaseInThePlaceOfAnOpenOneLosesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	record(t, s, 1)
	file := filepath.Join(s.Dir(), sqlite.FileName)
	must(t, os.Rename(file, file+".away"))
	must(t, os.WriteFile(file, nil, 0o600))
	// The connections are those that were made when it was opened: none meets the other database.
	if err := s.ReadAtOnce(t.Context(), 4); err != nil {
		t.Errorf("a connection was made while the files were exchanged: %v", err)
	}
	must(t, os.Rename(file+".away", file))
	if _, err := os.Stat(file + "-wal"); err != nil {
		t.Errorf("the log is gone: %v", err)
	}
	if _, err := open(t, s.Dir()).Join(t.Context(), joinID(1)); err != nil {
		t.Errorf("another process does not see what was stored: %v", err)
	}
}

// The log of a database that is missing or empty holds what was stored: it is kept until somebody decides.
func TestALogWithoutItsDatabaseIsKept(t *testing.T) {
	for name, lose := range map[string]func(file string) error{
		"removed":   os.Remove,
		"truncated": func(file string) error { return os.Truncate(file, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			record(t, s, 1)
			dir := t.TempDir()
			for _, suffix := range []string{"", "-wal"} { // as a process that was killed leaves them
				content, err := os.ReadFile(filepath.Join(s.Dir(), sqlite.FileName+suffix))
				must(t, err)
				must(t, os.WriteFile(filepath.Join(dir, sqlite.FileName+suffix), content, 0o600))
			}
			file := filepath.Join(dir, sqlite.FileName)
			whole, err := os.ReadFile(file)
			must(t, err)
			must(t, lose(file))
			for _, mustExist := range []bool{true, false} {
				other, err := sqlite.Open(t.Context(), dir, sqlite.Options{MustExist: mustExist})
				if err == nil {
					other.Close()
				}
				if err == nil || !mustExist && !strings.Contains(err.Error(), sqlite.FileName+"-wal") {
					t.Errorf("must exist %v: opened with %v", mustExist, err)
				}
			}
			must(t, os.WriteFile(file, whole, 0o600))
			if _, err := open(t, dir).Join(t.Context(), joinID(1)); err != nil {
				t.Errorf("once the database is restored, what its log has is gone: %v", err)
			}
		})
	}
	if _, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{MustExist: true}); !errors.Is(err, sqlite.ErrNoData) {
		t.Errorf("an empty directory: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
