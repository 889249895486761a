package server_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// writesOfRecords counts what is written of refusals, and can be told to fail.
type writesOfRecords struct {
	join.Store
	n     atomic.Int64
	bytes atomic.Int64
	down  atomic.Bool
}

func (w *writesOfRecords) Record(ctx context.Context, r store.Record, keepUntil time.Time) error {
	if w.down.Load() {
		return errors.New("the disk is full")
	}
	body, err := store.EncodeRecord(r)
	if err != nil {
		return err
	}
	w.n.Add(1)
	w.bytes.Add(int64(len(body)))
	return w.Store.Record(ctx, r, keepUntil)
}

func countedService(t *testing.T) (*service, *writesOfRecords) {
	t.Helper()
	var w *writesOfRecords
	s := newService(t, func(s *service, _ *server.Config) {
		w = &writesOfRecords{Store: s.config.Store}
		s.config.Store = w
	})
	return s, w
}

// One valid ID token, sent again and again to where it is refused, must not fill the
// disk: 8 s of it made 292 MB of records, and 1,132 MB with < in a claim.
func TestOneIDTokenReplayedIsCounted(t *testing.T) {
	s, w := countedService(t)
	req := s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: strings.Repeat("<", 1500)}))
	const sent = 300
	var first answer
	for i := range sent {
		a := s.join(req)
		if a.problem == nil || a.problem.Code != api.CodeNoRuleMatched {
			t.Fatalf("answer %d: %s", i, a.body)
		}
		if i == 0 {
			first = a
		}
		if a.problem.Detail != first.problem.Detail || len(a.problem.Presented) != len(first.problem.Presented) {
			t.Fatalf("answer %d tells that it was not recorded: %s", i, a.body)
		}
	}
	if n, size := w.n.Load(), w.bytes.Load(); n > 20 || size > 200<<10 {
		t.Errorf("%d refusals made %d writes of %d bytes", sent, n, size)
	}
	whole, counted := 0, 0
	for _, r := range s.records() {
		switch {
		case r.Repeated == 0 && r.Claims["branchName"] != nil && len(r.Mismatches) == 1:
			whole++
		case r.Repeated > 0 && r.Claims == nil:
			counted += r.Repeated
		default:
			t.Errorf("recorded %+v", r)
		}
		if r.Token != "example-bot" || r.Bot != "example" || r.IDToken == "" || r.Code != string(api.CodeNoRuleMatched) {
			t.Errorf("recorded %+v", r)
		}
	}
	if whole != 5 || counted > sent-whole || 2*counted <= sent-whole {
		t.Errorf("%d are recorded whole and %d counted, of %d", whole, counted, sent)
	}
	if n := strings.Count(s.log.String(), `"counted_in":"`); n != sent-whole-1 {
		t.Errorf("%d lines of the log say where they are counted, want %d", n, sent-whole-1)
	}
}

// What is another kind of refusal, another job's or another minute's is recorded whole:
// nobody hides a probe behind the count of something else.
func TestWhatDiffersIsRecordedWhole(t *testing.T) {
	s, _ := countedService(t)
	idToken := s.bitbucket(issuertest.BitbucketJob{BranchName: "feature"})
	whole := func() (n int) {
		for _, r := range s.records() {
			if r.Repeated == 0 {
				n++
			}
		}
		return n
	}
	flood := func(req *api.JoinRequest) {
		for range 10 {
			if a := s.join(req); a.problem == nil {
				t.Fatalf("granted %s", a.body)
			}
		}
	}
	flood(s.request("example-bot", idToken))
	if n := whole(); n != 5 {
		t.Fatalf("%d are recorded whole", n)
	}
	flood(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "feature"})))
	if n := whole(); n != 10 {
		t.Errorf("with another ID token %d are recorded whole", n)
	}
	s.apply("kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {all: true}}\n")
	flood(s.request("example-bot", idToken))
	if n := whole(); n != 15 {
		t.Errorf("with another code %d are recorded whole", n)
	}
	s.clock.advance(time.Minute)
	flood(s.request("example-bot", idToken))
	if n := whole(); n != 20 {
		t.Errorf("a minute later %d are recorded whole", n)
	}
}

// A refusal that cannot be stored is not counted as one that is: the next is stored in
// its place.
func TestARefusalThatCannotBeStoredIsNotCounted(t *testing.T) {
	for name, before := range map[string]int{"the first": 0, "the fifth": 4, "the one with the count": 5} {
		t.Run(name, func(t *testing.T) {
			s, w := countedService(t)
			req := s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "feature"}))
			for range before {
				s.join(req)
			}
			w.down.Store(true)
			for range 10 {
				if a := s.join(req); a.problem == nil || a.problem.Code != api.CodeStoreUnavailable || len(a.problem.Presented) > 0 {
					t.Fatalf("answered %s", a.body)
				}
			}
			w.down.Store(false)
			a := s.join(req)
			r := s.record(a.problem.JoinID)
			if want := 0; before < 5 && r.Repeated != want || before == 5 && r.Repeated != 1 {
				t.Errorf("recorded %+v", r)
			}
		})
	}
}
