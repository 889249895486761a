package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

const (
	// maxGroup is how many writes one commit makes durable, so that other writes of this
	// process get their turn.
	maxGroup = 256
	// maxRefusals is how many of a group are records of refusals. They come after what
	// grants: a grant waits for few of them, however many there are.
	maxRefusals = 32
	// maxWaitingRefusals bounds the refusals that wait, and what they hold in memory. One
	// more is refused at once, and so is its join.
	maxWaitingRefusals = 128
)

// A write of the ledger is undone to the savepoint if it fails, and the others of its
// group are not.
const (
	savepoint = `SAVEPOINT one`
	release   = `RELEASE one`
	undo      = `ROLLBACK TO one; RELEASE one`
)

var (
	errClosed = errors.New("the store is closed")
	errFull   = fmt.Errorf("%d refusals wait to be recorded already", maxWaitingRefusals)
)

// ledger is the queue of what joins write. One goroutine takes all that waits, writes
// it in one transaction and commits it: the disk is waited for once a group, not once
// a join. Nobody is answered before the commit.
type ledger struct {
	mu      sync.Mutex
	waiting waiting
	used    atomic.Bool // something was committed since Advance
	closed  bool
	wake    chan struct{} // holds one token while something may wait; closed by close
	ended   chan struct{}
}

// waiting are the writes that wait, each kind in the order of their calls.
type waiting struct{ grants, refusals []*ledgerWrite }

func (w waiting) len() int { return len(w.grants) + len(w.refusals) }

// ledgerWrite is one write that is stored whole or not at all.
type ledgerWrite struct {
	ctx     context.Context
	refusal bool
	do      func(*sql.Tx) error
	done    chan error // has room for the answer, which a caller that has gone does not take
}

// commit has do written and committed. If ctx ends before do's turn it is not written;
// if it ends later it may be. Writes of one process and kind are made in the order of
// their calls.
func (s *Store) commit(ctx context.Context, do func(*sql.Tx) error) error {
	return s.await(&ledgerWrite{ctx: ctx, do: do, done: make(chan error, 1)})
}

// commitRefusal is commit for the record of a refusal, which never waits before a grant.
func (s *Store) commitRefusal(ctx context.Context, do func(*sql.Tx) error) error {
	return s.await(&ledgerWrite{ctx: ctx, refusal: true, do: do, done: make(chan error, 1)})
}

func (s *Store) await(w *ledgerWrite) error {
	ctx := w.ctx
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.ledger.add(w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *ledger) add(w *ledgerWrite) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errClosed
	case !w.refusal:
		l.waiting.grants = append(l.waiting.grants, w)
	case len(l.waiting.refusals) >= maxWaitingRefusals:
		return errFull
	default:
		l.waiting.refusals = append(l.waiting.refusals, w)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// len is how many writes wait.
func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.len()
}

// now is what waits, which only take removes.
func (l *ledger) now() waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// take removes the writes of each kind that have waited longest, at most so many. It
// returns the grants first.
func (l *ledger) take(grants, refusals int) []*ledgerWrite {
	l.mu.Lock()
	defer l.mu.Unlock()
	var group []*ledgerWrite
	for _, kind := range []struct {
		waiting *[]*ledgerWrite
		most    int
	}{{&l.waiting.grants, grants}, {&l.waiting.refusals, refusals}} {
		n := min(kind.most, len(*kind.waiting))
		group = append(group, (*kind.waiting)[:n]...)
		if *kind.waiting = (*kind.waiting)[n:]; len(*kind.waiting) == 0 {
			*kind.waiting = nil // it holds what callers gave it
		}
	}
	return group
}

// startLedger starts the goroutine that commits.
func (s *Store) startLedger() {
	s.ledger.wake, s.ledger.ended = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(s.ledger.ended)
		for range s.ledger.wake {
			for s.ledger.len() > 0 {
				s.ledger.gather()
				s.commitWaiting()
			}
		}
	}()
}

// gather lets the joins that are ready to run come as far as their writes, so that these
// are of the group: a commit costs the same for one write as for many. It waits for nothing
// but the processor, and no longer than writes are added.
func (l *ledger) gather() {
	for before := -1; before < l.len(); {
		before = l.len()
		runtime.Gosched()
	}
}

// close waits for what was added before.
func (l *ledger) close() {
	l.mu.Lock()
	if l.wake == nil || l.closed { // it was never started, or is closed
		l.mu.Unlock()
		return
	}
	l.closed = true
	close(l.wake)
	l.mu.Unlock()
	<-l.ended
}

// commitWaiting commits one group. Which writes are in it is decided once the database
// is ours: what came while another process held it does not wait again.
func (s *Store) commitWaiting() {
	before := s.ledger.now()
	tx, err := s.begin()
	if err != nil { // those that came later have not waited long enough yet
		answer(s.ledger.take(len(before.grants), len(before.refusals)), err)
		return
	}
	group := s.ledger.take(maxGroup-maxRefusals, maxRefusals)
	for {
		written, left, lost := s.writeGroup(tx, group)
		if !lost {
			answer(written, s.commitGroup(tx))
			return
		}
		// SQLite gave up the whole transaction because of one write, as it may when
		// the disk is full. The others are written again without that one.
		_ = tx.Rollback()
		group = append(written, left...)
		if tx, err = s.begin(); err != nil {
			answer(group, err)
			return
		}
	}
}

// commitGroup makes a group durable, in the file that others find.
func (s *Store) commitGroup(tx *sql.Tx) error {
	if err := tx.Commit(); err != nil {
		return err
	}
	s.ledger.used.Store(true)
	return s.checkFiles()
}

// begin starts a transaction that no caller's context ends: it is everybody's.
func (s *Store) begin() (*sql.Tx, error) { return s.write.BeginTx(context.Background(), nil) }

// writeGroup writes a group and answers those that fail. If one of them took the
// transaction with it, lost is true, written is what has to be written again, and left
// what comes after it.
func (s *Store) writeGroup(tx *sql.Tx, group []*ledgerWrite) (written, left []*ledgerWrite, lost bool) {
	written = make([]*ledgerWrite, 0, len(group))
	for i, w := range group {
		if err := w.ctx.Err(); err != nil { // nobody waits for it, and nobody was told that it is stored
			w.done <- err
			continue
		}
		err := s.writeOne(tx, w)
		if err == nil {
			written = append(written, w)
			continue
		}
		_, undoErr := tx.Exec(undo)
		w.done <- err
		if undoErr != nil {
			return written, group[i+1:], true
		}
	}
	return written, nil, false
}

// writeOne writes one of a group. A panic is an error of that write alone: it would end
// the process here, where nothing of the caller's is above it.
func (s *Store) writeOne(tx *sql.Tx, w *ledgerWrite) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v\n%s", fault, debug.Stack())
		}
	}()
	if _, err := tx.Stmt(s.stmts.savepoint).Exec(); err != nil {
		return err
	}
	if err := w.do(tx); err != nil {
		return err
	}
	_, err = tx.Stmt(s.stmts.release).Exec()
	return err
}

func answer(group []*ledgerWrite, err error) {
	for _, w := range group {
		w.done <- err
	}
}
