package dynamo

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	// parallelQueries is how many partitions are read at once.
	parallelQueries = 8
	// idSlack is how far the time of a join id may lie from that of its record.
	idSlack = time.Minute
	// filteredPage is how many records a page looks at of which only some fit.
	filteredPage = 100
)

// Joins implements store.Records. The partitions' records are merged by their join
// ids as they are read, a page of each at a time.
//
// Of a listing with a limit the newest hour is read first, then four hours, and so
// on: a partition in which nothing fits would else be read to its beginning before
// the first record is yielded.
func (s *Store) Joins(ctx context.Context, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		all, possible := idRange(q.Since, q.Until)
		if !possible {
			return
		}
		parts := []span{all}
		if q.Limit > 0 && !q.OldestFirst {
			parts = all.newestFirst(time.Now())
		}
		yielded := 0
		for _, part := range parts {
			for record, err := range s.merged(ctx, part, q) {
				if !yield(record, err) {
					return
				}
				if _, damaged := errors.AsType[*store.DamagedError](err); err != nil && !damaged {
					return
				}
				if yielded++; yielded == q.Limit {
					return
				}
			}
		}
	}
}

// head is the next record of a partition.
type head struct {
	found item
	err   error
	more  bool
	next  func() (item, error, bool)
}

func (h *head) advance() { h.found, h.err, h.more = h.next() }

// merged yields the records of all partitions in a span of join ids.
func (s *Store) merged(ctx context.Context, part span, q store.Query) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		heads := make([]*head, len(shards))
		var group errgroup.Group
		group.SetLimit(parallelQueries)
		for i := range shards {
			next, stop := iter.Pull2(s.query(ctx, s.recordsQuery(shards[i:i+1], part, q)))
			defer stop()
			heads[i] = &head{next: next}
			group.Go(func() error {
				heads[i].advance()
				if heads[i].err != nil {
					cancel() // the others need not try any longer
				}
				return heads[i].err
			})
		}
		if err := group.Wait(); err != nil {
			yield(store.Record{}, fail("reading records", err))
			return
		}
		for {
			var first *head
			for _, h := range heads {
				if h.more && h.err != nil {
					yield(store.Record{}, fail("reading records", h.err))
					return
				}
				if h.more && (first == nil || earlier(h.found, first.found, q.OldestFirst)) {
					first = h
				}
			}
			if first == nil || !yield(decodeRecord(first.found)) {
				return
			}
			first.advance()
		}
	}
}

// earlier tells whether record a is yielded before b. Join ids sort by time.
func earlier(a, b item, oldestFirst bool) bool {
	order := strings.Compare((&reader{item: a}).text(attrSK), (&reader{item: b}).text(attrSK))
	if oldestFirst {
		return order < 0
	}
	return order > 0
}

// recordsQuery is the query of one partition.
func (s *Store) recordsQuery(shard string, part span, q store.Query) *dynamodb.QueryInput {
	f := filter{names: map[string]string{"#pk": attrPK, "#sk": attrSK}, values: item{
		":pk": text(recordPrefix + shard), ":oldest": text(part.oldest.String()), ":newest": text(part.newest.String()),
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
		f.add(attrCode, "<>", "ok", text(store.CodeOK))
	}
	in := &dynamodb.QueryInput{
		TableName: &s.tables.Joins, ScanIndexForward: &q.OldestFirst,
		KeyConditionExpression:   aws.String("#pk = :pk AND #sk BETWEEN :oldest AND :newest"),
		ExpressionAttributeNames: f.names, ExpressionAttributeValues: f.values,
	}
	if len(f.conditions) > 0 {
		in.FilterExpression = aws.String(strings.Join(f.conditions, " AND "))
	}
	if page := filteredPage; q.Limit > 0 {
		if len(f.conditions) == 0 { // what is read is what is yielded, about as much from each partition
			page = min(page, 2+2*q.Limit/len(shards))
		}
		in.Limit = aws.Int32(int32(page))
	}
	return in
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

// span is a range of join ids, both ends included.
type span struct{ oldest, newest ulid.ULID }

// newestFirst cuts a span into parts that begin one hour before now, four hours,
// sixteen and so on, up to 170 days.
func (sp span) newestFirst(now time.Time) []span {
	var parts []span
	rest := sp
	for age := time.Hour; age < 200*24*time.Hour; age *= 4 {
		var cut ulid.ULID
		if err := cut.SetTime(ulid.Timestamp(now.Add(-age))); err != nil { // not before the year 10889
			break
		}
		if cut.Compare(rest.oldest) <= 0 {
			break
		}
		if cut.Compare(rest.newest) > 0 {
			continue
		}
		parts = append(parts, span{cut, rest.newest})
		var last ulid.ULID // the one before cut
		for i := range last {
			last[i] = 0xff
		}
		if err := last.SetTime(cut.Time() - 1); err != nil {
			break
		}
		rest.newest = last
	}
	return append(parts, rest)
}

// idRange returns the join ids that records from since until until can have.
func idRange(since, until time.Time) (ids span, possible bool) {
	for i := range ids.newest {
		ids.newest[i] = 0xff
	}
	if !since.IsZero() {
		ms := since.Add(-idSlack).UnixMilli()
		if ms > int64(ulid.MaxTime()) {
			return ids, false
		}
		if err := ids.oldest.SetTime(uint64(max(ms, 0))); err != nil {
			return ids, false
		}
	}
	if !until.IsZero() {
		ms := until.Add(idSlack).UnixMilli()
		if ms < 0 {
			return ids, false
		}
		if err := ids.newest.SetTime(min(uint64(ms), ulid.MaxTime())); err != nil {
			return ids, false
		}
	}
	return ids, ids.oldest.Compare(ids.newest) <= 0
}
