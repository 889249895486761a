package sqlite_test

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/storetest"
)

// open opens a store and closes it with the test.
func open(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return s
}

// raw opens the database of a data directory behind the store's back.
func raw(t testing.TB, dir string) *sql.DB {
	t.Helper()
	file := url.URL{Scheme: "file", Path: filepath.Join(dir, sqlite.FileName)}
	db, err := sql.Open("sqlite", file.String()+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t testing.TB, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t,
		func(t *testing.T) storetest.Store { return open(t, t.TempDir()) },
		storetest.Options{
			Reopen: func(t *testing.T, s storetest.Store) storetest.Store { return open(t, s.(*sqlite.Store).Dir()) },
			Corrupt: func(t *testing.T, s storetest.Store, kind, name string) {
				db := raw(t, s.(*sqlite.Store).Dir())
				switch kind {
				case storetest.KindRecord:
					run(t, db, `UPDATE records SET body = CAST('{"join_id": 7' AS BLOB) WHERE join_id = ?`, name)
					return
				case storetest.KindRevocation:
					run(t, db, `UPDATE revocations SET body = CAST('{"id": 7' AS BLOB) WHERE id = ?`, name)
					return
				}
				run(t, db, `UPDATE resources SET body = CAST('{"kind": 7' AS BLOB), revision = 'bad' WHERE kind = ? AND name = ?`, kind, name)
			},
		})
}
