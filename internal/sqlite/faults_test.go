package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

func TestMigrate(t *testing.T) {
	s := open(t, t.TempDir())
	released, err := sqlite.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	version := len(released)
	for i := range released {
		released[i] = "not run again"
	}
	if err := s.Migrate(t.Context(), released); err != nil {
		t.Fatalf("a database that is up to date: %v", err)
	}
	broken := append(slices.Clip(released), "CREATE TABLE added (x)", "CREATE TABLE added (x)")
	saysAll(t, s.Migrate(t.Context(), broken), fmt.Sprintf("version %d", version+2), "already exists")
	if err := s.Migrate(t.Context(), released); err != nil {
		t.Fatalf("a migration that failed left something behind: %v", err)
	}
	next := append(slices.Clip(released), "CREATE TABLE added (x)", "INSERT INTO added VALUES (1); INSERT INTO added VALUES (2)")
	for range 2 {
		if err := s.Migrate(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	saysAll(t, s.Migrate(t.Context(), released), fmt.Sprintf("version %d", version+2), fmt.Sprintf("up to %d", version), "upgrade")
	db := raw(t, s.Dir())
	var rows int
	if err := db.QueryRow("SELECT count(*) FROM added").Scan(&rows); err != nil || rows != 2 {
		t.Errorf("the last step left %d rows, %v; want 2", rows, err)
	}
}

// TestLocked has another process hold the database.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), dir, sqlite.Impatient(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	record(t, s, 1)
	patient := open(t, dir)
	conn, err := raw(t, dir).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	t.Run("reads go on", func(t *testing.T) {
		if _, err := s.Join(t.Context(), joinID(1)); err != nil {
			t.Error(err)
		}
	})
	t.Run("a write gives up and says why", func(t *testing.T) {
		_, err := s.Use(t.Context(), use("t", 3))
		saysAll(t, err, "another process", "200ms", dir)
	})
	t.Run("a context ends the wait", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		for name, write := range map[string]func() error{
			"Use": func() error {
				_, err := patient.Use(ctx, use("t", 3))
				return err
			},
			"PutKeySet": func() error { return patient.PutKeySet(ctx, store.KeySet{Issuer: "i", FetchedAt: began}) },
		} {
			if err := write(); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want context.DeadlineExceeded", name, err)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the wait took %s", took)
		}
	})
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	t.Run("nothing was stored, and writes work again", func(t *testing.T) {
		if uses, err := s.Uses(t.Context(), "t"); err != nil || len(uses) != 0 {
			t.Errorf("the uses are %v, %v; want none", uses, err)
		}
		record(t, s, 2)
	})
}

// use is a use of an ID token, and the record i.
func use(idToken string, i int) store.Use {
	now := time.Now()
	return store.Use{IDToken: idToken, Digest: fmt.Sprint("digest-", i), MaxJoins: 1, NotAfter: now, KeepUntil: now.Add(time.Hour),
		Record: store.Record{JoinID: joinID(i), Time: now, Code: store.CodeOK, Token: "example-bot"}, RecordUntil: now.Add(time.Hour)}
}

func TestDiskFull(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.LimitPages(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	write := func(i int) error {
		return s.Record(t.Context(), store.Record{JoinID: joinID(i), Time: now, Detail: strings.Repeat("x", 10<<10)}, now)
	}
	i := 0
	var err error
	for err == nil && i < 100 {
		if err = write(i); err == nil {
			i++
		}
	}
	saysAll(t, err, "disk is full", "free some space", s.Dir(), joinID(i))
	for done := range i {
		if _, err := s.Join(t.Context(), joinID(done)); err != nil {
			t.Errorf("a record from before: %v", err)
		}
	}
	if _, err := s.Join(t.Context(), joinID(i)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the record that failed: %v, want store.ErrNotFound", err)
	}
	if _, err := s.Purge(t.Context(), now.Add(31*24*time.Hour)); err != nil {
		t.Fatalf("purging: %v", err)
	}
	if err := write(i); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestTimesThatCannotBeStored(t *testing.T) {
	s := open(t, t.TempDir())
	far := time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	now := time.Now()
	for name, call := range map[string]func() error{
		"Use": func() error {
			_, err := s.Use(t.Context(), store.Use{IDToken: "t", Digest: "d", MaxJoins: 1, Record: store.Record{JoinID: "x"}})
			return err
		},
		"Record":       func() error { return s.Record(t.Context(), store.Record{JoinID: "x"}, now) },
		"KeySetFailed": func() error { return s.KeySetFailed(t.Context(), "i", far, "") },
		"PutKeySet":    func() error { return s.PutKeySet(t.Context(), store.KeySet{Issuer: "i", FetchedAt: far}) },
		"Lease":        func() error { _, err := s.Lease(t.Context(), "l", now, far); return err },
	} {
		t.Run(name, func(t *testing.T) { saysAll(t, call(), "cannot be stored", "1678 to 2261") })
	}
}

// issued has an ID token join that was issued at a time, and is kept for good.
func issued(t *testing.T, s *sqlite.Store, at time.Time) {
	t.Helper()
	far := at.AddDate(100, 0, 0)
	_, err := s.Use(t.Context(), store.Use{IDToken: "issued at " + at.String(), Digest: "d", MaxJoins: 1, NotAfter: at, IssuedAt: at, KeepUntil: far,
		Record: store.Record{JoinID: "issued at " + at.String(), Time: at}, RecordUntil: far})
	if err != nil {
		t.Fatal(err)
	}
}

// What must be remembered outlives a clock that jumps ahead and back: also one that was
// wrong when the process started, and one that is wrong for long.
func TestAClockThatJumpsForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	u := store.Use{IDToken: "t", Digest: "first", MaxJoins: 1, MaxAnswers: 2, NotAfter: now.Add(15 * time.Minute),
		IssuedAt: now, KeepUntil: now.Add(2 * time.Hour), Record: store.Record{JoinID: joinID(1), Time: now}, RecordUntil: now.Add(90 * 24 * time.Hour)}
	if _, err := s.Use(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	revocation := store.Revocation{ID: joinID(1), Certificates: []store.RevokedCertificate{{Authority: cert.SSHUser, Serial: "1", ExpiresAt: u.NotAfter}}}
	if _, err := s.Revoke(t.Context(), []store.Revocation{revocation}); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []time.Duration{24 * time.Hour, 100 * 24 * time.Hour, 0} {
		for _, s := range []*sqlite.Store{s, open(t, dir)} {
			if n, err := s.Purge(t.Context(), now.Add(ahead)); err != nil || n != 0 {
				t.Errorf("%s ahead: purged %d, %v", ahead, n, err)
			}
		}
	}
	second := u
	second.Digest, second.Record.JoinID = "second", joinID(2)
	if _, err := s.Use(t.Context(), second); !errors.Is(err, store.ErrUsed) {
		t.Errorf("the same ID token joins again: %v", err)
	}
	if _, err := s.Join(t.Context(), joinID(1)); err != nil {
		t.Errorf("its record: %v", err)
	}
	if all, err := s.Revocations(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d revocations, %v", len(all), err)
	}
	// Once an ID token was issued after all that, it is over by the issuers' clocks too.
	issued(t, s, now.Add(3*time.Hour))
	if n, err := s.Purge(t.Context(), now.Add(3*time.Hour)); err != nil || n != 2 {
		t.Errorf("purged %d, %v; want the use and the revocation", n, err)
	}
	// A service whose own clock lags keeps what its clock keeps.
	issued(t, s, now.Add(200*24*time.Hour))
	if n, err := s.Purge(t.Context(), now.Add(3*time.Hour)); err != nil || n != 0 {
		t.Errorf("with a clock that lags purged %d, %v", n, err)
	}
}

func TestPurge(t *testing.T) {
	s := open(t, t.TempDir())
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	n := 2*sqlite.PurgeBatch + 10
	for i := range n {
		// Half may go; of the others the first may go a nanosecond from now.
		keep := now.Add(-time.Second)
		if i%2 == 1 {
			keep = now.Add(time.Duration(i))
		}
		u := store.Use{IDToken: fmt.Sprint(i), Digest: "d", MaxJoins: 1, NotAfter: now, IssuedAt: keep.Add(-time.Hour), KeepUntil: keep,
			Record: store.Record{JoinID: joinID(i), Time: now}, RecordUntil: keep}
		if _, err := s.Use(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	for name, until := range map[string]time.Time{"old": now.Add(-25 * time.Hour), "recent": now.Add(-time.Hour)} {
		if _, err := s.Lease(t.Context(), name, until.Add(-time.Hour), until); err != nil {
			t.Fatal(err)
		}
	}
	issued(t, s, now.Add(time.Hour))
	for _, want := range []int64{int64(n) + 1, 0} {
		if got, err := s.Purge(t.Context(), now); err != nil || got != want {
			t.Errorf("purged %d, %v; want %d", got, err, want)
		}
	}
	for i := range n {
		_, err := s.Join(t.Context(), joinID(i))
		if kept := err == nil; kept != (i%2 == 1) {
			t.Fatalf("record %d: %v", i, err)
		}
		uses, err := s.Uses(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		if kept := len(uses) == 1; kept != (i%2 == 1) {
			t.Fatalf("uses %d: %v", i, uses)
		}
	}
	if got, err := s.Purge(t.Context(), now.Add(time.Second)); err != nil || got != 0 {
		t.Errorf("purged %d, %v, of what is to be kept up to that second", got, err)
	}
	if got, err := s.Purge(t.Context(), now.Add(2*time.Second)); err != nil || got != int64(n) {
		t.Errorf("purged %d, %v; want the rest", got, err)
	}
}

// A revocation is kept until no server takes its certificates any longer, whatever
// its clock.
func TestPurgeOfRevocations(t *testing.T) {
	s := open(t, t.TempDir())
	ends := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	revocation := store.Revocation{ID: "one", Certificates: []store.RevokedCertificate{
		{Authority: cert.SSHUser, Serial: "1", ExpiresAt: ends}, {Authority: cert.SSHUser, Serial: "2", ExpiresAt: ends.Add(-time.Hour)},
	}}
	if _, err := s.Revoke(t.Context(), []store.Revocation{revocation}); err != nil {
		t.Fatal(err)
	}
	issued(t, s, ends.Add(24*time.Hour))
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{0, 0}, {authority.KeepRevoked, 0}, {authority.KeepRevoked + time.Second, 1}, {authority.KeepRevoked + time.Second, 0}} {
		if got, err := s.Purge(t.Context(), ends.Add(c.after)); err != nil || got != c.want {
			t.Errorf("after %s purged %d, %v; want %d", c.after, got, err, c.want)
		}
	}
}
