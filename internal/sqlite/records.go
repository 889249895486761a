package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	upsertRecord = `INSERT INTO records (join_id, time, token, bot, code, keep_until, body)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		ON CONFLICT DO UPDATE SET time = ?2, token = ?3, bot = ?4, code = ?5, keep_until = ?6, body = ?7`
	selectRecord  = `SELECT join_id, time, body FROM records WHERE join_id = ?1`
	selectRecords = `SELECT join_id, time, body FROM records`
)

// Record implements store.Ledger. The record of a refusal comes after what grants that
// waits, and if too many wait it is an error.
func (s *Store) Record(ctx context.Context, r store.Record, keepUntil time.Time) error {
	doing := "storing the record " + r.JoinID
	record, err := encodeRecord(r, keepUntil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	commit := s.commitRefusal
	if r.Code == store.CodeOK {
		commit = s.commit
	}
	return s.fail(ctx, doing, commit(ctx, func(tx *sql.Tx) error { return s.putRecord(tx, record) }))
}

// encodedRecord is the row of a record.
type encodedRecord []any

// encodeRecord makes the row before anybody waits for it.
func encodeRecord(r store.Record, keepUntil time.Time) (encodedRecord, error) {
	at, err := store.Nanoseconds(r.Time)
	if err != nil {
		return nil, err
	}
	body, err := store.EncodeRecord(r)
	return encodedRecord{r.JoinID, at, r.Token, r.Bot, r.Code, store.Seconds(keepUntil), body}, err
}

func (s *Store) putRecord(tx *sql.Tx, row encodedRecord) error {
	_, err := tx.Stmt(s.stmts.putRecord).Exec(row...)
	return err
}

// Join implements store.Records.
func (s *Store) Join(ctx context.Context, id string) (store.Record, error) {
	var row recordRow
	err := s.stmts.record.QueryRowContext(ctx, id).Scan(&row.id, &row.time, &row.body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return store.Record{}, fmt.Errorf("record %s: %w", id, store.ErrNotFound)
	case err != nil:
		return store.Record{}, s.fail(ctx, "reading the record "+id, err)
	}
	return row.decode()
}

// recordsPage is how many records are read at once, so that a listing that its
// reader takes slowly does not keep the database from being tidied up.
const recordsPage = 200

// Joins implements store.Records.
func (s *Store) Joins(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		var after *recordRow
		for left := q.Limit; ; {
			size := recordsPage
			if q.Limit > 0 {
				size = min(size, left)
			}
			page, err := s.recordsPage(ctx, q, after, size)
			if err != nil {
				yield(store.Record{}, s.fail(ctx, "reading records", err))
				return
			}
			for _, row := range page {
				if !yield(row.decode()) {
					return
				}
			}
			left -= len(page)
			if len(page) < size || q.Limit > 0 && left == 0 {
				return
			}
			after = &page[len(page)-1]
		}
	}
}

func (s *Store) recordsPage(ctx context.Context, q store.Query, after *recordRow, size int) ([]recordRow, error) {
	query, args, err := recordsQuery(q, after, size)
	if err != nil {
		return nil, err
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	return collect(rows, err, func(rows *sql.Rows) (row recordRow, err error) {
		return row, rows.Scan(&row.id, &row.time, &row.body)
	})
}

// recordsQuery is the SQL of the page of q after a row. Values go into args and
// never into the text.
func recordsQuery(q store.Query, after *recordRow, size int) (string, []any, error) {
	var (
		where []string
		args  []any
	)
	fits := func(condition string, values ...any) {
		where, args = append(where, condition), append(args, values...)
	}
	for _, bound := range []struct {
		condition string
		at        time.Time
	}{{"time >= ?", q.Since}, {"time < ?", q.Until}} {
		if bound.at.IsZero() {
			continue
		}
		at, err := store.Nanoseconds(bound.at)
		if err != nil {
			return "", nil, err
		}
		fits(bound.condition, at)
	}
	for _, equal := range []struct{ condition, value string }{
		{"bot = ?", q.Bot}, {"token = ?", q.Token}, {"code = ?", q.Code},
	} {
		if equal.value != "" {
			fits(equal.condition, equal.value)
		}
	}
	if q.Refused {
		fits("code <> ?", store.CodeOK)
	}
	order, beyond := "DESC", "(time, join_id) < (?, ?)"
	if q.OldestFirst {
		order, beyond = "ASC", "(time, join_id) > (?, ?)"
	}
	if after != nil {
		fits(beyond, after.time, after.id)
	}
	query := selectRecords
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return query + " ORDER BY time " + order + ", join_id " + order + " LIMIT ?", append(args, size), nil
}

// recordRow is a record as stored.
type recordRow struct {
	id   string
	time int64
	body []byte
}

// decode returns the record, or a *store.DamagedError.
func (row recordRow) decode() (store.Record, error) { return store.DecodeRecord(row.id, row.body) }
