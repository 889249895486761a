package dynamo_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/admin"
	"github.com/gatepass-ci/gatepass/internal/join"
)

// TestListingMerges has records in all partitions, some at one time, and in no order.
func TestListingMerges(t *testing.T) {
	s := open(t, tables(t))
	var want []join.Record // newest first
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
		q    admin.Query
		fits func(i int, r join.Record) bool
	}{
		"all":             {admin.Query{}, func(int, join.Record) bool { return true }},
		"limit":           {admin.Query{Limit: 50}, func(i int, _ join.Record) bool { return i < 50 }},
		"since":           {admin.Query{Since: base.Add(-30 * time.Minute)}, func(i int, _ join.Record) bool { return i/2 <= 30 }},
		"until":           {admin.Query{Until: base.Add(-30 * time.Minute)}, func(i int, _ join.Record) bool { return i/2 > 30 }},
		"bot":             {admin.Query{Bot: "other"}, func(_ int, r join.Record) bool { return r.Bot == "other" }},
		"before all time": {admin.Query{Until: time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC)}, func(int, join.Record) bool { return false }},
		"after all time":  {admin.Query{Since: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}, func(int, join.Record) bool { return false }},
		"of all time": {admin.Query{Since: time.Date(1066, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)},
			func(int, join.Record) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			records, _, err := admin.Records(s.Joins(t.Context(), c.q))
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
		if _, err := s.Join(t.Context(), id); !errors.Is(err, join.ErrNotFound) {
			t.Errorf("reading %q: %v, want join.ErrNotFound", id, err)
		}
		if err := s.Record(t.Context(), join.Record{JoinID: id, Time: base}, base); err == nil {
			t.Errorf("a record was stored as %q", id)
		}
	}
}
