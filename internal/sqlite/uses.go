package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	selectUses = `SELECT digest, join_id, not_after, answers FROM uses WHERE id_token = ?1`
	selectUse  = `SELECT join_id, not_after, answers FROM uses WHERE id_token = ?1 AND digest = ?2`

	// It changes nothing if the digest is there or no use is left. Nobody comes between
	// the count and the insertion: a transaction of the ledger holds the database.
	insertUse = `INSERT INTO uses (id_token, digest, join_id, not_after, answers, issued_at, keep_until)
		SELECT ?1, ?2, ?3, ?4, 1, ?5, ?6 WHERE (SELECT count(*) FROM uses WHERE id_token = ?1) < ?7
		ON CONFLICT DO NOTHING`
	// It changes nothing if there is no such use, or no answer is left.
	countAnswer = `UPDATE uses SET answers = answers + 1 WHERE id_token = ?1 AND digest = ?2 AND answers < ?3`

	upsertLease = `INSERT INTO leases (name, until) VALUES (?1, ?3)
		ON CONFLICT DO UPDATE SET until = ?3 WHERE until <= ?2 OR until > ?4`
)

// Uses implements store.Ledger.
func (s *Store) Uses(ctx context.Context, idToken string) (map[string]store.Answer, error) {
	uses := make(map[string]store.Answer)
	rows, err := queryShort(ctx, s.stmts.uses, idToken)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var digest string
		answer, err := scanAnswer(rows, &digest)
		uses[digest] = answer
		return struct{}{}, err
	})
	if err != nil {
		return nil, s.fail(ctx, "reading the uses of the ID token "+idToken, err)
	}
	return uses, nil
}

// scanAnswer reads the columns of an answer, after others.
func scanAnswer(row interface{ Scan(...any) error }, before ...any) (a store.Answer, err error) {
	var notAfter int64
	err = row.Scan(append(before, &a.JoinID, &notAfter, &a.Answers)...)
	a.NotAfter = store.FromSeconds(notAfter)
	return a, err
}

// Use implements store.Ledger: the use and the record are one write of the ledger.
func (s *Store) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	doing := "storing a use of the ID token " + u.IDToken + " and the record " + u.Record.JoinID
	record, err := encodeRecord(u.Record, u.RecordUntil)
	if err != nil {
		return store.Answer{}, fmt.Errorf("%s: %w", doing, err)
	}
	var first store.Answer
	err = s.commit(ctx, func(tx *sql.Tx) (err error) {
		if first, err = s.use(tx, u); err != nil {
			return err
		}
		return s.putRecord(tx, record)
	})
	if errors.Is(err, store.ErrUsed) || errors.Is(err, store.ErrAnswered) {
		return store.Answer{}, fmt.Errorf("ID token %s: %w", u.IDToken, err)
	}
	if err != nil {
		return store.Answer{}, s.fail(ctx, doing, err)
	}
	return first, nil
}

// use returns the answer of the first use with this digest.
func (s *Store) use(tx *sql.Tx, u store.Use) (store.Answer, error) {
	notAfter := store.Seconds(u.NotAfter)
	stored, err := affected(tx.Stmt(s.stmts.use).Exec(u.IDToken, u.Digest, u.Record.JoinID, notAfter, u.IssuedAt.Unix(), store.Seconds(u.KeepUntil), u.MaxJoins))
	if err != nil || stored {
		return store.Answer{JoinID: u.Record.JoinID, NotAfter: store.FromSeconds(notAfter), Answers: 1}, err
	}
	// A retry, or no use is left.
	counted, err := affected(tx.Stmt(s.stmts.countAnswer).Exec(u.IDToken, u.Digest, u.MaxAnswers))
	if err != nil {
		return store.Answer{}, err
	}
	first, err := scanAnswer(tx.Stmt(s.stmts.useAnswer).QueryRow(u.IDToken, u.Digest))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Answer{}, store.ErrUsed
	case err == nil && !counted:
		return store.Answer{}, store.ErrAnswered
	}
	return first, err
}

// Lease implements store.Ledger.
func (s *Store) Lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	from, err := store.Nanoseconds(now)
	if err != nil {
		return false, fmt.Errorf("taking the lease %s: %w", name, err)
	}
	to, err := store.Nanoseconds(until)
	if err != nil {
		return false, fmt.Errorf("taking the lease %s: %w", name, err)
	}
	got, err := s.changed(ctx, s.stmts.lease, name, from, to, to+int64(store.MaxClockSkew))
	return got, s.fail(ctx, "taking the lease "+name, err)
}
