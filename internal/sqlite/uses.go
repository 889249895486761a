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
	selectUses        = `SELECT digest, not_after FROM uses WHERE id_token = ?1`
	selectUseNotAfter = `SELECT not_after FROM uses WHERE id_token = ?1 AND digest = ?2`

	// It changes nothing if the digest is there or no use is left. Nobody comes between
	// the count and the insertion: a transaction of the ledger holds the database.
	insertUse = `INSERT INTO uses (id_token, digest, not_after, keep_until)
		SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM uses WHERE id_token = ?1) < ?5
		ON CONFLICT DO NOTHING`

	upsertLease = `INSERT INTO leases (name, until) VALUES (?1, ?3)
		ON CONFLICT DO UPDATE SET until = ?3 WHERE until <= ?2`
)

// Uses implements store.Ledger.
func (s *Store) Uses(ctx context.Context, idToken string) (map[string]store.Answer, error) {
	uses := make(map[string]store.Answer)
	rows, err := queryShort(ctx, s.stmts.uses, idToken)
	_, err = collect(rows, err, func(rows *sql.Rows) (struct{}, error) {
		var (
			digest   string
			notAfter int64
		)
		err := rows.Scan(&digest, &notAfter)
		uses[digest] = store.Answer{NotAfter: store.FromSeconds(notAfter)}
		return struct{}{}, err
	})
	if err != nil {
		return nil, s.fail(ctx, "reading the uses of the ID token "+idToken, err)
	}
	return uses, nil
}

// Use implements store.Ledger: the use and the record are one write of the ledger.
func (s *Store) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	doing := "storing a use of the ID token " + u.IDToken + " and the record " + u.Record.JoinID
	record, err := encodeRecord(u.Record, u.RecordUntil)
	if err != nil {
		return store.Answer{}, fmt.Errorf("%s: %w", doing, err)
	}
	var notAfter int64
	err = s.commit(ctx, func(tx *sql.Tx) (err error) {
		if notAfter, err = s.use(tx, u); err != nil {
			return err
		}
		return s.putRecord(tx, record)
	})
	if errors.Is(err, store.ErrUsed) {
		return store.Answer{}, fmt.Errorf("ID token %s: %w", u.IDToken, err)
	}
	if err != nil {
		return store.Answer{}, s.fail(ctx, doing, err)
	}
	return store.Answer{NotAfter: store.FromSeconds(notAfter)}, nil
}

// use returns when the credentials of the first use with this digest end.
func (s *Store) use(tx *sql.Tx, u store.Use) (notAfter int64, err error) {
	notAfter = store.Seconds(u.NotAfter)
	result, err := tx.Stmt(s.stmts.use).Exec(u.IDToken, u.Digest, notAfter, store.Seconds(u.KeepUntil), u.MaxJoins)
	if err != nil {
		return 0, err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return notAfter, err
	}
	// A retry, or no use is left.
	err = tx.Stmt(s.stmts.useNotAfter).QueryRow(u.IDToken, u.Digest).Scan(&notAfter)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, store.ErrUsed
	}
	return notAfter, err
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
	got, err := changed(ctx, s.stmts.lease, name, from, to)
	return got, s.fail(ctx, "taking the lease "+name, err)
}
