package server_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// racingJoin is the join id of the call that comes first, a second before noon.
var racingJoin = ulid.MustNew(ulid.Timestamp(noon.Add(-time.Second)), ulid.DefaultEntropy()).String()

// racing is a store in which another call used the ID token for the same request, for
// credentials that end earlier, after this call read the uses.
type racing struct {
	join.Store
	earlier time.Duration
}

func (r racing) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	other := u
	other.NotAfter = u.NotAfter.Add(-r.earlier)
	other.Record.JoinID = racingJoin
	if _, err := r.Store.Use(ctx, other); err != nil {
		return store.Answer{}, err
	}
	return r.Store.Use(ctx, u)
}

// recordings keeps every version of the records that are stored.
type recordings struct {
	join.Store
	mu  sync.Mutex
	all []store.Record
}

func (r *recordings) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	r.mu.Lock()
	r.all = append(r.all, u.Record)
	r.mu.Unlock()
	return r.Store.Use(ctx, u)
}

func (r *recordings) Record(ctx context.Context, rec store.Record, keepUntil time.Time) error {
	r.mu.Lock()
	r.all = append(r.all, rec)
	r.mu.Unlock()
	return r.Store.Record(ctx, rec, keepUntil)
}

func TestARacingRetryNeverOutlivesTheFirstAnswer(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) { s.config.Store = racing{s.config.Store, 5 * time.Minute} })
	request := s.bitbucketRequest()
	resp := s.granted(request)
	end := noon.Add(10 * time.Minute)
	if !resp.ExpiresAt.Equal(end) || resp.TTLLimitedBy != "retry" || resp.TTLSeconds != 600 {
		t.Errorf("granted %+v", resp)
	}
	if leaf := parseCert(t, credential(t, resp, "tls").Certificate); leaf.NotAfter.After(end) {
		t.Errorf("the certificate ends at %s, after the first answer's", leaf.NotAfter)
	}
	r := s.record(resp.JoinID)
	if r.RetryOf != racingJoin {
		t.Errorf("the record says that it is a retry of %q", r.RetryOf)
	}
	if again := s.granted(request); credential(t, again, "tls").Serial != credential(t, resp, "tls").Serial {
		t.Error("what a later retry is given is another set")
	}
	if len(r.Credentials) != 2 || r.Credentials[1].Serial != credential(t, resp, "tls").Serial || !r.Credentials[1].ExpiresAt.Equal(end) {
		t.Errorf("recorded %+v", r.Credentials)
	}
}

// If the use or a signature fails, the record that said "ok" is overwritten
// before the answer: it never tells of a credential that was not delivered.
func TestARecordOfAFailedGrantIsOverwritten(t *testing.T) {
	for name, fail := range map[string]func(*service){
		"the use": func(s *service) { s.config.Store = noUses{s.config.Store} },
		"the signature": func(s *service) {
			s.config.Authorities, s.config.Local = brokenSigner{s.config.Authorities}, false
		},
	} {
		t.Run(name, func(t *testing.T) {
			var rec *recordings
			s := newService(t, func(s *service, _ *server.Config) {
				fail(s)
				rec = &recordings{Store: s.config.Store}
				s.config.Store = rec
			})
			a := s.join(s.bitbucketRequest())
			if a.problem == nil {
				t.Fatal("granted")
			}
			if len(rec.all) != 2 || rec.all[0].Code != store.CodeOK || rec.all[1].Code != string(a.problem.Code) {
				t.Fatalf("stored %+v", rec.all)
			}
			if r := s.record(a.problem.JoinID); r.Code != string(a.problem.Code) || len(r.Credentials) != 0 {
				t.Errorf("the record is left as %+v", r)
			}
		})
	}
}

// Where nothing is remote the signatures come first, and one that fails spends nothing.
func TestAFailedSignatureSpendsNothingLocally(t *testing.T) {
	var rec *recordings
	s := newService(t, func(s *service, _ *server.Config) {
		s.config.Authorities = brokenSigner{s.config.Authorities}
		rec = &recordings{Store: s.config.Store}
		s.config.Store = rec
	})
	a := s.join(s.bitbucketRequest())
	if a.problem == nil || len(rec.all) != 1 || rec.all[0].Code != string(a.problem.Code) {
		t.Fatalf("answered %s, stored %+v", a.body, rec.all)
	}
	if uses, err := s.store.Uses(t.Context(), rec.all[0].IDToken); err != nil || len(uses) > 0 {
		t.Errorf("used %v, %v", uses, err)
	}
}

// gone is a store whose caller goes away while its use is stored.
type gone struct {
	join.Store
	cancel context.CancelFunc
}

func (g gone) Use(context.Context, store.Use) (store.Answer, error) {
	g.cancel()
	return store.Answer{}, context.Canceled
}

func TestACallerThatGoesAwayIsRecorded(t *testing.T) {
	s := newService(t)
	ctx, cancel := context.WithCancel(t.Context())
	config := s.config
	config.Store = gone{config.Store, cancel}
	service, err := join.New(config)
	must(t, err)
	if _, err := service.Join(ctx, s.bitbucketRequest(), join.Caller{}); err == nil {
		t.Fatal("granted")
	}
	all := s.records()
	if len(all) != 1 || all[0].Code != string(api.CodeStoreUnavailable) {
		t.Errorf("recorded %+v", all)
	}
}

// faultyAuthorities panic.
type faultyAuthorities struct{ authority.Authorities }

func (faultyAuthorities) Authority(context.Context, cert.Purpose) (*authority.Authority, error) {
	panic("a fault of ours")
}

// A panic is a refusal like another, also after everything was checked: it is recorded,
// and spends nothing that was not spent.
func TestAPanicAfterTheChecksIsRecorded(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) { s.config.Authorities = faultyAuthorities{s.config.Authorities} })
	a := s.join(s.bitbucketRequest())
	if a.problem == nil || a.problem.Code != api.CodeInternal || a.problem.JoinID == "" {
		t.Fatalf("answered %s", a.body)
	}
	r := s.record(a.problem.JoinID)
	if r.Code != string(api.CodeInternal) || r.Rule == nil || len(r.Credentials) > 0 {
		t.Errorf("recorded %+v", r)
	}
	if uses, err := s.store.Uses(t.Context(), r.IDToken); err != nil || len(uses) > 0 {
		t.Errorf("used %v, %v", uses, err)
	}
	if !strings.Contains(s.log.String(), "a fault of ours") || strings.Contains(a.body, "fault of ours") {
		t.Error("the cause is for the log, and not for the caller")
	}
}
