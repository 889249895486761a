package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// record is the record of a join so many minutes after base. Its id sorts by
// the minute too, as a ULID does.
func (s suite) record(minute int) store.Record {
	at := s.base.Add(time.Duration(minute) * time.Minute)
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		panic(err) // not before the year 10889
	}
	return store.Record{JoinID: id.String(), Time: at, Code: store.CodeOK, Token: "example-bot", Bot: "example",
		Method: api.MethodBitbucket, IDToken: hash("token"), Claims: map[string]any{}}
}

func (s suite) keep() time.Time { return s.base.Add(90 * 24 * time.Hour) }

// full has every field set, and claims that a careless store would change.
func (s suite) full() store.Record {
	r := s.record(0)
	rule := 0
	r.Time = r.Time.Add(123456789).In(time.FixedZone("", 7200))
	r.Detail, r.SourceAddr, r.Digest, r.Lock = "größe 🚀 <&> \u2028 \x00", "2001:db8::1", hash("digest"), "stop"
	r.Client = &api.ClientInfo{Version: "1.0.0", OS: "linux", Arch: "amd64"}
	r.Claims = map[string]any{
		"sub": strings.Repeat("long ", 2000), "": "empty name", "größe": "🚀", "oidc.circleci.com/project-id": project,
		"exp": json.Number("253402300799"), "big": json.Number("9007199254740993"), "small": json.Number("1.50e-7"),
		"huge": json.Number("123456789012345678901234567890123456789012345678901234567890"),
		"true": true, "null": nil, "empty": "", "none": []any{}, "nothing": map[string]any{},
		"nested": map[string]any{"list": []any{"a", json.Number("1"), false, nil, map[string]any{"$": "x"}}},
	}
	r.Rule = &rule
	r.Mismatches = []store.RuleMismatch{{Rule: 1, Fields: []store.FieldMismatch{
		{Field: "branch_name", Want: "main", Got: []string{"", "größe"}}, {Field: "workspace_uuid", Want: workspace},
	}}}
	r.TTLSeconds, r.TTLLimitedBy, r.RetryOf = 900, "role:deployer", "01ARYZ6S41TSV4RRFFQ69G5FAV"
	r.Credentials = []store.RecordCredential{{
		Name: "ssh", Type: "ssh", Usage: "identity", Serial: "18446744073709551615", Subject: "CN=example",
		Principals: []string{"deploy"}, Roles: []string{"deployer"}, ExpiresAt: s.base.Add(time.Hour).In(time.FixedZone("", 3600)),
	}}
	return r
}

func sameRecord(t *testing.T, got, want store.Record) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the record came back different (-want +got):\n%s", diff)
	}
	utc(t, "the record's time", got.Time, want.Time)
	for i := range got.Credentials {
		utc(t, "a credential's end", got.Credentials[i].ExpiresAt, want.Credentials[i].ExpiresAt)
	}
}

func (s suite) testRecords(t *testing.T) {
	t.Run("nothing is there at first", func(t *testing.T) {
		a := s.open(t)
		if _, err := a.Join(ctx(t), s.record(0).JoinID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Join: %v, want store.ErrNotFound", err)
		}
		if found := records(t, a, store.Query{}); len(found) != 0 {
			t.Errorf("Joins: %d, want none", len(found))
		}
	})
	t.Run("a record comes back equal", func(t *testing.T) {
		a, b := s.pair(t)
		for minute, want := range []store.Record{s.full(), s.record(1)} {
			given := want
			given.Credentials = slices.Clone(want.Credentials)
			check(t, "recording", a.Record(ctx(t), given, s.keep()))
			if !reflect.DeepEqual(given, want) { // zones of times included
				t.Errorf("Record changed what it was given to\n%+v\nfrom\n%+v", given, want)
			}
			got, err := b.Join(ctx(t), want.JoinID)
			check(t, "reading the record", err)
			sameRecord(t, got, want)
			listed := records(t, b, store.Query{Limit: 1})
			if len(listed) != 1 {
				t.Fatalf("%d records after %d, want the newest", len(listed), minute+1)
			}
			sameRecord(t, listed[0], want)
		}
	})
	t.Run("a record replaces an earlier one of its join", func(t *testing.T) {
		a, b := s.pair(t)
		first, other := s.full(), s.record(1)
		check(t, "recording", a.Record(ctx(t), first, s.keep()))
		check(t, "recording", a.Record(ctx(t), other, s.keep()))
		second := s.record(0)
		second.Code, second.Bot, second.Token = string(api.CodeSignerUnavailable), "other", "other-bot"
		check(t, "recording", b.Record(ctx(t), second, s.keep().Add(time.Hour)))
		got, err := a.Join(ctx(t), first.JoinID)
		check(t, "reading the record", err)
		sameRecord(t, got, second)
		s.listed(t, a, store.Query{}, 1, 0)
		s.listed(t, a, store.Query{Bot: "example"}, 1)
		s.listed(t, a, store.Query{Token: "other-bot"}, 0)
		s.listed(t, a, store.Query{Code: store.CodeOK}, 1)
		s.listed(t, a, store.Query{Refused: true}, 0)
	})
	t.Run("records at once are all kept", func(t *testing.T) {
		a, b := s.pair(t)
		const n = 60
		all(n, a, b, func(i int, st Store) {
			if err := st.Record(ctx(t), s.record(i), s.keep()); err != nil {
				t.Errorf("recording: %v", err)
			}
		})
		found := records(t, b, store.Query{})
		if len(found) != n {
			t.Errorf("%d records, want %d", len(found), n)
		}
	})
}

// records are those that q chooses; none may be damaged.
func records(t *testing.T, s Store, q store.Query) []store.Record {
	t.Helper()
	found, damaged, err := store.Gather(s.Joins(ctx(t), q))
	check(t, "listing", err)
	if len(damaged) > 0 {
		t.Errorf("damaged: %v", damaged)
	}
	return found
}

// listed tests that q chooses the records of these minutes, in this order.
func (s suite) listed(t *testing.T, st Store, q store.Query, minutes ...int) {
	t.Helper()
	found := records(t, st, q)
	var got []int
	for _, r := range found {
		got = append(got, int(r.Time.Sub(s.base).Minutes()))
	}
	if !slices.Equal(got, minutes) {
		t.Errorf("%+v chooses the records of minutes %v, want %v", q, got, minutes)
	}
}

func (s suite) testQueries(t *testing.T) {
	a, b := s.pair(t)
	for i, r := range []struct{ bot, token, code string }{
		0: {"example", "example-bot", store.CodeOK},
		1: {"example", "circle-bot", string(api.CodeNoRuleMatched)},
		2: {"other", "other-bot", store.CodeOK},
		3: {"other", "other-bot", string(api.CodeLocked)},
		4: {"example", "example-bot", string(api.CodeLocked)},
		5: {"example", "circle-bot", store.CodeOK},
	} {
		record := s.record(i)
		record.Bot, record.Token, record.Code = r.bot, r.token, r.code
		check(t, "recording", a.Record(ctx(t), record, s.keep()))
	}
	at := func(minute int) time.Time { return s.base.Add(time.Duration(minute) * time.Minute) }
	for name, c := range map[string]struct {
		q    store.Query
		want []int
	}{
		"all, newest first":       {store.Query{}, []int{5, 4, 3, 2, 1, 0}},
		"since includes":          {store.Query{Since: at(3)}, []int{5, 4, 3}},
		"until excludes":          {store.Query{Until: at(3)}, []int{2, 1, 0}},
		"since and until":         {store.Query{Since: at(1), Until: at(3).In(time.FixedZone("", 3600))}, []int{2, 1}},
		"since just after":        {store.Query{Since: at(3).Add(time.Millisecond)}, []int{5, 4}},
		"until just after":        {store.Query{Until: at(3).Add(time.Millisecond)}, []int{3, 2, 1, 0}},
		"an empty span":           {store.Query{Since: at(3), Until: at(3)}, nil},
		"a span the wrong way":    {store.Query{Since: at(4), Until: at(2)}, nil},
		"later than all":          {store.Query{Since: at(100)}, nil},
		"bot":                     {store.Query{Bot: "other"}, []int{3, 2}},
		"unknown bot":             {store.Query{Bot: "oth"}, nil},
		"a bot is no pattern":     {store.Query{Bot: "%"}, nil},
		"a bot is no SQL":         {store.Query{Bot: "' OR 1=1 --"}, nil},
		"token":                   {store.Query{Token: "circle-bot"}, []int{5, 1}},
		"code":                    {store.Query{Code: string(api.CodeLocked)}, []int{4, 3}},
		"granted":                 {store.Query{Code: store.CodeOK}, []int{5, 2, 0}},
		"refused":                 {store.Query{Refused: true}, []int{4, 3, 1}},
		"refused and granted":     {store.Query{Refused: true, Code: store.CodeOK}, nil},
		"limit":                   {store.Query{Limit: 2}, []int{5, 4}},
		"limit above all":         {store.Query{Limit: 100}, []int{5, 4, 3, 2, 1, 0}},
		"limit counts what fits":  {store.Query{Bot: "example", Limit: 3}, []int{5, 4, 1}},
		"oldest first":            {store.Query{OldestFirst: true}, []int{0, 1, 2, 3, 4, 5}},
		"the oldest of a bot":     {store.Query{OldestFirst: true, Bot: "other", Limit: 1}, []int{2}},
		"everything":              {store.Query{Since: at(1), Until: at(5), Bot: "example", Token: "example-bot", Code: string(api.CodeLocked), Refused: true, Limit: 1}, []int{4}},
		"everything but the time": {store.Query{Since: at(5), Bot: "example", Token: "example-bot", Code: string(api.CodeLocked)}, nil},
	} {
		t.Run(name, func(t *testing.T) { s.listed(t, b, c.q, c.want...) })
	}
	t.Run("more than a page", func(t *testing.T) {
		a := s.open(t)
		const n = 300
		big := s.record(0)
		big.Claims = map[string]any{"sub": strings.Repeat("x", 8<<10)}
		for i := range n {
			r := s.record(i)
			r.Claims = big.Claims
			r.Bot = fmt.Sprintf("bot-%d", i%100)
			check(t, "recording", a.Record(ctx(t), r, s.keep()))
		}
		found := records(t, a, store.Query{})
		if len(found) != n {
			t.Errorf("%d records, want %d", len(found), n)
		}
		if found := records(t, a, store.Query{OldestFirst: true}); len(found) != n || !found[0].Time.Equal(s.base) {
			t.Errorf("%d records, want %d", len(found), n)
		}
		var minutes []int
		for r, err := range a.Joins(ctx(t), store.Query{}) {
			check(t, "listing", err)
			if minutes = append(minutes, int(r.Time.Sub(s.base).Minutes())); len(minutes) == 3 {
				break // who has enough need not read on
			}
		}
		if !slices.Equal(minutes, []int{299, 298, 297}) {
			t.Errorf("the newest three are %v", minutes)
		}
		s.listed(t, a, store.Query{Bot: "bot-7", Limit: 2}, 207, 107)
		s.listed(t, a, store.Query{Bot: "bot-7", OldestFirst: true}, 7, 107, 207)
		s.listed(t, a, store.Query{Bot: "bot-7"}, 207, 107, 7)
	})
}
