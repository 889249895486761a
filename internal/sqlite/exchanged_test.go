package sqlite_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// served opens the store of a directory as a server does, with a mark beside its keys.
func served(t *testing.T, dir string) (s *sqlite.Store, mark string) {
	t.Helper()
	mark = filepath.Join(dir, "store.json")
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{Mark: mark})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.KnowKeys(t.Context(), map[cert.Purpose]string{cert.SSHUser: "a"}); err != nil {
		t.Fatal(err)
	}
	return s, mark
}

// files reads the database's files and the mark.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal", "store.json"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err == nil {
			all[name] = string(body)
		}
	}
	return all
}

// TestAProcessWhoseFilesWereExchangedTouchesNothing restores a backup under a server that
// still runs. What that server writes goes into files without a name. It must not write the
// mark, which has one: by it the restored database would be refused as too old. And it must
// not say that it is well.
func TestAProcessWhoseFilesWereExchangedTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	s, mark := served(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	backup := files(t, dir)

	s, _ = served(t, dir)
	if _, err := s.Use(t.Context(), use("before", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal", sqlite.FileName + "-shm"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range backup {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	now := time.Now()
	for _, tc := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"a use", func(ctx context.Context) error { _, err := s.Use(ctx, use("after", 1)); return err }},
		{"a lease", func(ctx context.Context) error { _, err := s.Lease(ctx, "ready", now, now); return err }},
		{"a mark", s.Advance},
		{"a key set", func(ctx context.Context) error {
			return s.PutKeySet(ctx, store.KeySet{Issuer: "https://a", FetchedAt: now})
		}},
		{"what keys there are", func(ctx context.Context) error { return s.KnowKeys(ctx, map[cert.Purpose]string{cert.SSHHost: "b"}) }},
	} {
		if err := tc.do(t.Context()); err == nil {
			t.Errorf("%s was stored where nobody finds it", tc.what)
		}
	}
	if got, _ := os.ReadFile(mark); string(got) != backup["store.json"] {
		t.Errorf("the mark of the restored database is %s, want %s", got, backup["store.json"])
	}
	restored, err := sqlite.Open(t.Context(), dir, sqlite.Options{MustExist: true, Mark: mark})
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	if err := restored.CheckGeneration(t.Context()); errors.Is(err, authority.ErrApart) || err != nil {
		t.Errorf("the restored directory is refused: %v", err)
	}
	if known, err := restored.KnownKeys(t.Context()); err != nil || !maps.Equal(known, map[cert.Purpose]string{cert.SSHUser: "a"}) {
		t.Errorf("it knows %v, %v", known, err)
	}
}

// TestPinnedKeysAreAChangeThatIsMarked holds what an administrator says of an issuer's keys
// to the same as rules and locks: a copy of the database from before is found, in which
// keys that were replaced are good again, and nothing is changed in one that was exchanged.
func TestPinnedKeysAreAChangeThatIsMarked(t *testing.T) {
	const issuer = "https://issuer.example"
	now := time.Now()
	pin := func(ctx context.Context, s *sqlite.Store) error {
		return s.PutKeySet(ctx, store.KeySet{Issuer: issuer, JWKS: []byte(`{"keys":[]}`), FetchedAt: now, TriedAt: now, Pinned: true})
	}
	unpin := func(ctx context.Context, s *sqlite.Store) error { return s.Unpin(ctx, issuer) }
	for name, tc := range map[string]struct {
		before, change func(context.Context, *sqlite.Store) error
	}{
		"pinned":       {func(context.Context, *sqlite.Store) error { return nil }, pin},
		"pinned again": {pin, pin},
		"let go of":    {pin, unpin},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, mark := served(t, dir)
			if err := tc.before(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(mark)
			if err != nil {
				t.Fatal(err)
			}
			if err := tc.change(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(mark)
			if err != nil || string(before) == string(after) {
				t.Errorf("the mark is %s before and %s after it, %v", before, after, err)
			}
			if err := os.WriteFile(mark, []byte(`{"id":"of another store","number":1}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := tc.change(t.Context(), s); !errors.Is(err, authority.ErrApart) {
				t.Errorf("of a store that does not belong to the keys beside it: %v", err)
			}
		})
	}
}

// TestAChangeByRootLeavesTheServerItsFiles has an administrator store a change with sudo,
// in a directory of the user that the server runs as. SQLite keeps its files that user's; a
// mark of root's own could not be read by the server, which would neither start nor serve
// lists. Where the test is not root's there is one user, and nothing can change hands.
func TestAChangeByRootLeavesTheServerItsFiles(t *testing.T) {
	dir := t.TempDir()
	s, mark := served(t, dir)
	want := os.Geteuid()
	if want == 0 {
		want = 65534
		for _, name := range []string{"", sqlite.FileName, sqlite.FileName + "-wal", sqlite.FileName + "-shm", "store.json"} {
			if err := os.Chown(filepath.Join(dir, name), want, want); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.PutKeySet(t.Context(), store.KeySet{Issuer: "https://a", JWKS: []byte(`{"keys":[]}`), FetchedAt: time.Now(), Pinned: true}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(mark)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; int(got) != want {
		t.Errorf("the mark belongs to user %d, want %d", got, want)
	}
}
