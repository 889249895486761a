package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// holdDatabase keeps every write waiting until the function that it returns is called.
func holdDatabase(t *testing.T, dir string) (letGo func()) {
	t.Helper()
	conn, err := raw(t, dir).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		conn.Close()
	}
}

// started starts a use and returns once it waits as the n-th.
func started(t *testing.T, ctx context.Context, s *sqlite.Store, n int, u store.Use) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := s.Use(ctx, u); done <- err }()
	waiting(t, s, n)
	return done
}

func waiting(t *testing.T, s *sqlite.Store, n int) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); s.Waiting() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d writes wait, want %d", s.Waiting(), n)
		}
	}
}

func isStored(t *testing.T, s *sqlite.Store, u store.Use, want bool) {
	t.Helper()
	uses, err := s.Uses(t.Context(), u.IDToken)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Join(t.Context(), u.Record.JoinID)
	if recorded := err == nil; len(uses) > 0 != want || recorded != want {
		t.Errorf("%s: uses %v, recorded %t; want both %t", u.IDToken, uses, recorded, want)
	}
}

// damage makes the writes of records that name the token rule fail as sql says.
func damage(t *testing.T, dir, token, sql string) {
	t.Helper()
	run(t, raw(t, dir), fmt.Sprintf("CREATE TRIGGER %s AFTER INSERT ON records WHEN NEW.token = '%[1]s' BEGIN %s; END", token, sql))
}

// TestGroup has ten joins wait for one commit, and one of them fail.
func TestGroup(t *testing.T) {
	const joins, failing = 10, 4
	for name, c := range map[string]struct{ sql, says string }{
		"alone":                     {`SELECT RAISE(ABORT, 'this one fails')`, "this one fails"},
		"with the transaction":      {`SELECT RAISE(ROLLBACK, 'this one fails')`, "this one fails"},
		"after some of its changes": {`UPDATE uses SET not_after = 1; SELECT RAISE(FAIL, 'this one fails')`, "this one fails"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			damage(t, s.Dir(), "failing", c.sql)
			letGo := holdDatabase(t, s.Dir())
			var uses []store.Use
			var done []<-chan error
			for i := range joins {
				u := use(fmt.Sprint("token-", i), i)
				if i == failing {
					u.Record.Token = "failing"
				}
				uses, done = append(uses, u), append(done, started(t, t.Context(), s, i+1, u))
			}
			letGo()
			for i := range joins {
				err := <-done[i]
				if i == failing {
					saysAll(t, err, c.says, uses[i].Record.JoinID)
				} else if err != nil {
					t.Errorf("%d: %v", i, err)
				}
				isStored(t, s, uses[i], i != failing)
				if got, err := s.Uses(t.Context(), uses[i].IDToken); i != failing && (err != nil || got[uses[i].Digest].NotAfter.Unix() < 2) {
					t.Errorf("%d: what was undone is there: %v, %v", i, got, err)
				}
			}
		})
	}
}

// TestGroupWithAPanic has the write in the middle of a group panic.
func TestGroupWithAPanic(t *testing.T) {
	s := open(t, t.TempDir())
	letGo := holdDatabase(t, s.Dir())
	before, after := use("before", 1), use("after", 2)
	first := started(t, t.Context(), s, 1, before)
	second := make(chan error, 1)
	go func() { second <- s.Panic(t.Context()) }()
	waiting(t, s, 2)
	third := started(t, t.Context(), s, 3, after)
	letGo()
	if err := errors.Join(<-first, <-third); err != nil {
		t.Error(err)
	}
	saysAll(t, <-second, "this one panics")
	isStored(t, s, before, true)
	isStored(t, s, after, true)
}

// TestGroupWhoseCommitFails has one of ten joins make the commit fail: SQLite checks a
// deferred constraint only then.
func TestGroupWhoseCommitFails(t *testing.T) {
	s := open(t, t.TempDir())
	run(t, raw(t, s.Dir()), `CREATE TABLE parent (id INTEGER PRIMARY KEY)`)
	run(t, raw(t, s.Dir()), `CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
	damage(t, s.Dir(), "failing", `INSERT INTO child VALUES (1)`)
	letGo := holdDatabase(t, s.Dir())
	const joins = 10
	var uses []store.Use
	var done []<-chan error
	for i := range joins {
		u := use(fmt.Sprint("token-", i), i)
		if i == 4 {
			u.Record.Token = "failing"
		}
		uses, done = append(uses, u), append(done, started(t, t.Context(), s, i+1, u))
	}
	letGo()
	for i := range joins {
		saysAll(t, <-done[i], "FOREIGN KEY", s.Dir())
	}
	for i := range joins {
		isStored(t, s, uses[i], false)
	}
	for i := range joins {
		uses[i].Record.Token = "example-bot"
		if _, err := s.Use(t.Context(), uses[i]); err != nil {
			t.Errorf("again: %v", err)
		}
		isStored(t, s, uses[i], true)
	}
}

// TestCallerGoesAwayWhileItsGroupCommits has one caller's context end before its write
// and one's after it, while the group goes on.
func TestCallerGoesAwayWhileItsGroupCommits(t *testing.T) {
	s := open(t, t.TempDir())
	letGo := holdDatabase(t, s.Dir())
	early, leaveEarly := context.WithCancel(t.Context())
	late, leaveLate := context.WithCancel(t.Context())
	defer leaveLate()
	before, after, stays := use("before", 1), use("after", 2), use("stays", 3)
	earlyDone := started(t, early, s, 1, before)
	lateDone := started(t, late, s, 2, after)
	staysDone := started(t, t.Context(), s, 3, stays)
	begun, goOn, stalled := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { stalled <- s.Stall(t.Context(), begun, goOn) }()
	waiting(t, s, 4)

	leaveEarly()
	if err := <-earlyDone; !errors.Is(err, context.Canceled) {
		t.Errorf("before its turn: %v", err)
	}
	letGo()
	<-begun // the three before it had their turn
	leaveLate()
	if err := <-lateDone; !errors.Is(err, context.Canceled) {
		t.Errorf("after its turn: %v", err)
	}
	select {
	case err := <-staysDone:
		t.Errorf("answered before the commit: %v", err)
	default:
	}
	isStored(t, s, stays, false)
	// What the caller writes then comes after what it left under way.
	refusal := after.Record
	refusal.Code = "store_unavailable"
	recorded := make(chan error, 1)
	go func() { recorded <- s.Record(t.Context(), refusal, time.Now().Add(time.Hour)) }()
	waiting(t, s, 1)
	close(goOn)
	for name, done := range map[string]<-chan error{"the one that stays": staysDone, "the last of the group": stalled, "the refusal": recorded} {
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	isStored(t, s, before, false)
	isStored(t, s, after, true)
	isStored(t, s, stays, true)
	if r, err := s.Join(t.Context(), refusal.JoinID); err != nil || r.Code != refusal.Code {
		t.Errorf("recorded %q, %v; want the refusal", r.Code, err)
	}
}

// Close waits for what was asked for before, and takes nothing after.
func TestCloseWaitsForTheLedger(t *testing.T) {
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	letGo := holdDatabase(t, dir)
	u := use("token", 1)
	done := started(t, t.Context(), s, 1, u)
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	letGo()
	if err := errors.Join(<-done, <-closed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Use(t.Context(), use("late", 2)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	isStored(t, open(t, dir), u, true)
}

// A flood of refusals waited before honest joins: one took six seconds, and what waited
// took a gigabyte.
func TestRefusalsWaitAfterGrantsAndAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	letGo := holdDatabase(t, s.Dir())
	// The first write is taken by the ledger, which waits for the database with nothing taken yet.
	refused := make(chan error, sqlite.MaxWaitingRefusals+1)
	for i := range sqlite.MaxWaitingRefusals + 1 {
		go func() {
			now := time.Now()
			refused <- s.Record(t.Context(), store.Record{JoinID: joinID(i), Time: now, Code: "locked"}, now.Add(time.Hour))
		}()
	}
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "refusals wait") {
		t.Errorf("one more than may wait: %v", err)
	}
	honest := use("honest", 1000)
	granted := started(t, t.Context(), s, sqlite.MaxWaitingRefusals+1, honest)
	// A join that lost to another call of its request writes its record once more.
	recorded := make(chan error, 1)
	go func() {
		now := time.Now()
		recorded <- s.Record(t.Context(), store.Record{JoinID: joinID(1001), Time: now, Code: store.CodeOK}, now.Add(time.Hour))
	}()
	waiting(t, s, sqlite.MaxWaitingRefusals+2)
	letGo()
	for _, done := range []<-chan error{granted, recorded} {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for range sqlite.MaxWaitingRefusals {
		if err := <-refused; err != nil {
			t.Error(err)
		}
	}
	var before, after int
	const count = `SELECT count(*) FILTER (WHERE rowid < one), count(*) FILTER (WHERE rowid > one) FROM records,
		(SELECT rowid AS one FROM records WHERE join_id = ?)`
	if err := raw(t, s.Dir()).QueryRow(count, honest.Record.JoinID).Scan(&before, &after); err != nil {
		t.Fatal(err)
	}
	if before != 0 || after != sqlite.MaxWaitingRefusals+1 {
		t.Errorf("%d refusals were written before the grant that came after them, and %d after it", before, after)
	}
}
