package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
)

const (
	upsertRecord = `INSERT INTO records (join_id, time, token, bot, code, keep_until, body)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
		ON CONFLICT DO UPDATE SET time = ?2, token = ?3, bot = ?4, code = ?5, keep_until = ?6, body = ?7`
	selectRecord  = `SELECT join_id, body FROM records WHERE join_id = ?1`
	selectRecords = `SELECT join_id, body FROM records`
)

// Record implements join.Records.
func (s *Store) Record(ctx context.Context, r join.Record, keepUntil time.Time) error {
	doing := "storing the record " + r.JoinID
	at, err := nanos(r.Time)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	body, err := join.EncodeRecord(r)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err = changed(ctx, s.stmts.putRecord, r.JoinID, at, r.Token, r.Bot, r.Code, seconds(keepUntil), body)
	return s.fail(ctx, doing, err)
}

// Join implements admin.Joins.
func (s *Store) Join(ctx context.Context, id string) (join.Record, error) {
	rows, err := s.stmts.record.QueryContext(ctx, id)
	records, err := collect(rows, err, scanRecord)
	if err != nil {
		return join.Record{}, s.fail(ctx, "reading the record "+id, err)
	}
	if len(records) == 0 {
		return join.Record{}, fmt.Errorf("record %s: %w", id, join.ErrNotFound)
	}
	return records[0], nil
}

// Joins implements admin.Joins.
func (s *Store) Joins(ctx context.Context, q admin.Query) ([]join.Record, error) {
	query, args, err := recordsQuery(q)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	records, err := collect(rows, err, scanRecord)
	return records, s.fail(ctx, "reading records", err)
}

// recordsQuery is the SQL of q. Values go into args and never into the text.
func recordsQuery(q admin.Query) (string, []any, error) {
	var (
		where []string
		args  []any
	)
	fits := func(condition string, value any) {
		where, args = append(where, condition), append(args, value)
	}
	for _, bound := range []struct {
		condition string
		at        time.Time
	}{{"time >= ?", q.Since}, {"time < ?", q.Until}} {
		if bound.at.IsZero() {
			continue
		}
		at, err := nanos(bound.at)
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
		fits("code <> ?", join.CodeOK)
	}
	query := selectRecords
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	query += " ORDER BY time DESC, join_id DESC"
	if q.Limit > 0 {
		query, args = query+" LIMIT ?", append(args, q.Limit)
	}
	return query, args, nil
}

func scanRecord(rows *sql.Rows) (join.Record, error) {
	var (
		id   string
		body sql.RawBytes
	)
	if err := rows.Scan(&id, &body); err != nil {
		return join.Record{}, err
	}
	r, err := join.DecodeRecord(body)
	if err == nil && r.JoinID != id {
		err = fmt.Errorf("it holds the record %s", r.JoinID)
	}
	if err != nil {
		return join.Record{}, fmt.Errorf("the record %s is stored but not valid: %w", id, err)
	}
	return r, nil
}
