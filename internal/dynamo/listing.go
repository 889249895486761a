package dynamo

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
)

const (
	// parallelQueries is how many partitions are read at once.
	parallelQueries = 8
	// idSlack is how far the time of a join id may lie from that of its record.
	idSlack = time.Minute
)

// Joins implements admin.Joins. Every partition of records is asked for those
// that fit, newest first, and no further than to q.Limit.
func (s *Store) Joins(ctx context.Context, q admin.Query) ([]join.Record, error) {
	lists := make([][]join.Record, len(shards))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelQueries)
	for i := range shards {
		group.Go(func() (err error) {
			lists[i], err = s.joinsOf(groupCtx, shards[i:i+1], q)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fail("reading records", err)
	}
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b join.Record) int {
		if order := b.Time.Compare(a.Time); order != 0 {
			return order
		}
		return strings.Compare(b.JoinID, a.JoinID)
	})
	if q.Limit > 0 && len(all) > q.Limit {
		all = all[:q.Limit]
	}
	return all, nil
}

// joinsOf returns the newest records of one partition that fit q.
func (s *Store) joinsOf(ctx context.Context, shard string, q admin.Query) ([]join.Record, error) {
	in, possible := s.recordsQuery(shard, q)
	if !possible {
		return nil, nil
	}
	var records []join.Record
	for found, err := range s.query(ctx, in) {
		if err != nil {
			return nil, err
		}
		record, err := decodeRecord(found)
		if err != nil {
			return nil, err
		}
		if records = append(records, record); q.Limit > 0 && len(records) == q.Limit {
			break
		}
	}
	return records, nil
}

// recordsQuery is the query of one partition; possible is false if nothing can fit q.
func (s *Store) recordsQuery(shard string, q admin.Query) (in *dynamodb.QueryInput, possible bool) {
	oldest, newest, possible := idRange(q.Since, q.Until)
	if !possible {
		return nil, false
	}
	f := filter{names: map[string]string{"#pk": attrPK, "#sk": attrSK}, values: item{
		":pk": text(recordPrefix + shard), ":oldest": text(oldest), ":newest": text(newest),
	}}
	if since, err := instant(q.Since); err == nil && !q.Since.IsZero() {
		f.add(attrTime, ">=", "since", since)
	}
	if until, err := instant(q.Until); err == nil && !q.Until.IsZero() {
		f.add(attrTime, "<", "until", until)
	}
	for name, value := range map[string]string{attrBot: q.Bot, attrToken: q.Token, attrCode: q.Code} {
		if value != "" {
			f.add(name, "=", name, text(value))
		}
	}
	if q.Refused {
		f.add(attrCode, "<>", "ok", text(join.CodeOK))
	}
	in = &dynamodb.QueryInput{
		TableName: &s.tables.Joins, ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :oldest AND :newest"),
		ExpressionAttributeNames: f.names, ExpressionAttributeValues: f.values,
	}
	if len(f.conditions) > 0 {
		in.FilterExpression = aws.String(strings.Join(f.conditions, " AND "))
	} else if q.Limit > 0 {
		in.Limit = aws.Int32(int32(min(q.Limit, math.MaxInt32)))
	}
	return in, true
}

// filter collects the conditions of a FilterExpression. Values never go into its text.
type filter struct {
	conditions []string
	names      map[string]string
	values     item
}

func (f *filter) add(attr, operator, value string, v types.AttributeValue) {
	f.names["#"+attr], f.values[":"+value] = attr, v
	f.conditions = append(f.conditions, "#"+attr+" "+operator+" :"+value)
}

// idRange returns the join ids that records from since until until can have.
func idRange(since, until time.Time) (oldest, newest string, possible bool) {
	var first, last ulid.ULID
	for i := range last {
		last[i] = 0xff
	}
	if !since.IsZero() {
		ms := since.Add(-idSlack).UnixMilli()
		if ms > int64(ulid.MaxTime()) {
			return "", "", false
		}
		if err := first.SetTime(uint64(max(ms, 0))); err != nil {
			return "", "", false
		}
	}
	if !until.IsZero() {
		ms := until.Add(idSlack).UnixMilli()
		if ms < 0 {
			return "", "", false
		}
		if err := last.SetTime(min(uint64(ms), ulid.MaxTime())); err != nil {
			return "", "", false
		}
	}
	return first.String(), last.String(), first.Compare(last) <= 0
}
