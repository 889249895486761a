package dynamo_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// TestListingMerges has records in all partitions, some at one time, and in no order.
func TestListingMerges(t *testing.T) {
	s := open(t, tables(t))
	var want []store.Record // newest first
	shards := map[byte]bool{}
	for i := range 200 {
		r := record(-(i / 2)) // two at a time
		if i%3 == 0 {
			r.Bot = "other"
		}
		shards[r.JoinID[25]] = true
		want = append(want, r)
		if err := s.Record(t.Context(), r, base.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if len(shards) < 20 {
		t.Fatalf("the records are in %d partitions only", len(shards))
	}
	for i := 0; i < len(want); i += 2 {
		if want[i].JoinID < want[i+1].JoinID {
			want[i], want[i+1] = want[i+1], want[i]
		}
	}
	for name, c := range map[string]struct {
		q    store.Query
		fits func(i int, r store.Record) bool
	}{
		"all":             {store.Query{}, func(int, store.Record) bool { return true }},
		"limit":           {store.Query{Limit: 50}, func(i int, _ store.Record) bool { return i < 50 }},
		"since":           {store.Query{Since: base.Add(-30 * time.Minute)}, func(i int, _ store.Record) bool { return i/2 <= 30 }},
		"until":           {store.Query{Until: base.Add(-30 * time.Minute)}, func(i int, _ store.Record) bool { return i/2 > 30 }},
		"bot":             {store.Query{Bot: "other"}, func(_ int, r store.Record) bool { return r.Bot == "other" }},
		"before all time": {store.Query{Until: time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC)}, func(int, store.Record) bool { return false }},
		"after all time":  {store.Query{Since: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}, func(int, store.Record) bool { return false }},
		"of all time": {store.Query{Since: time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)},
			func(int, store.Record) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			records, _, err := store.Gather(s.Joins(t.Context(), c.q))
			if err != nil {
				t.Fatal(err)
			}
			var got, wanted []string
			for _, r := range records {
				got = append(got, r.JoinID)
			}
			for i, r := range want {
				if c.fits(i, r) {
					wanted = append(wanted, r.JoinID)
				}
			}
			if !slices.Equal(got, wanted) {
				t.Errorf("got %d records\n%q\nwant %d\n%q", len(got), got, len(wanted), wanted)
			}
		})
	}
}

// TestNoULID has join ids that no join has.
func TestNoULID(t *testing.T) {
	s := open(t, tables(t))
	for _, id := range []string{"", "x", "01J", "not-a-ulid-but-as-long-as-1", ulid.Make().String() + "0", "01j00000000000000000000000", "81J00000000000000000000000"} {
		if _, err := s.Join(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("reading %q: %v, want store.ErrNotFound", id, err)
		}
		if err := s.Record(t.Context(), store.Record{JoinID: id, Time: base}, base); err == nil {
			t.Errorf("a record was stored as %q", id)
		}
	}
}

// TestSpans: whatever is asked for, the parts of a listing are all of it, each once.
func TestSpans(t *testing.T) {
	now := time.Date(2026, 1, 31, 8, 0, 0, 123456789, time.UTC)
	next := func(id ulid.ULID) ulid.ULID {
		for i := len(id) - 1; i >= 0; i-- {
			if id[i]++; id[i] != 0 {
				break
			}
		}
		return id
	}
	for name, c := range map[string]struct {
		since, until time.Time
		parts        int
	}{
		"everything":           {time.Time{}, time.Time{}, 8},
		"of the last day":      {now.Add(-24 * time.Hour), time.Time{}, 4},
		"of the last minute":   {now.Add(-time.Minute), time.Time{}, 1},
		"until a day ago":      {time.Time{}, now.Add(-24 * time.Hour), 5},
		"an hour of last week": {now.Add(-7 * 24 * time.Hour), now.Add(-7*24*time.Hour + time.Hour), 1},
		"of times to come":     {now.Add(time.Hour), time.Time{}, 1},
		"of the first times":   {time.Time{}, time.Unix(1, 0), 1},
	} {
		t.Run(name, func(t *testing.T) {
			parts, whole := dynamo.NewestFirst(c.since, c.until, now)
			if len(parts) != c.parts {
				t.Errorf("%d parts, want %d", len(parts), c.parts)
			}
			if parts[0][1] != whole[1] || parts[len(parts)-1][0] != whole[0] {
				t.Errorf("the ends are %s and %s, want %s and %s", parts[len(parts)-1][0], parts[0][1], whole[0], whole[1])
			}
			for i := 1; i < len(parts); i++ {
				if next(parts[i][1]) != parts[i-1][0] {
					t.Errorf("after the part that begins at %s comes one that ends at %s", parts[i-1][0], parts[i][1])
				}
			}
		})
	}
}

// TestAListingStops: who wants the newest few of a bot that joined lately does not pay
// for months of others' records.
func TestAListingStops(t *testing.T) {
	scanned := int32(0)
	count := func(o *dynamodb.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("count", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleInitialize(ctx, in)
				if page, ok := out.Result.(*dynamodb.QueryOutput); ok {
					atomic.AddInt32(&scanned, page.ScannedCount)
				}
				return out, metadata, err
			}), middleware.Before)
		})
	}
	s := open(t, tables(t), count)
	now := time.Now()
	put := func(age time.Duration, bot string) {
		t.Helper()
		id := ulid.MustNew(ulid.Timestamp(now.Add(-age)), rand.Reader)
		r := store.Record{JoinID: id.String(), Time: now.Add(-age), Bot: bot, Code: store.CodeOK, Claims: map[string]any{}}
		if err := s.Record(t.Context(), r, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 400 {
		put(24*time.Hour+time.Duration(i)*time.Hour, "other")
	}
	for i := range 3 {
		put(time.Duration(i)*time.Minute, "example")
	}
	for _, q := range []store.Query{{Bot: "example", Limit: 3}, {Limit: 3}} {
		atomic.StoreInt32(&scanned, 0)
		records, _, err := store.Gather(s.Joins(t.Context(), q))
		if err != nil || len(records) != 3 || scanned > 10 {
			t.Errorf("%+v: %d records, %v; %d were read", q, len(records), err, scanned)
		}
	}
	atomic.StoreInt32(&scanned, 0)
	for range s.Joins(t.Context(), store.Query{}) {
		break
	}
	if scanned == 0 {
		t.Error("this test counts nothing")
	}
}
