package kms_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/kms"
)

// everyAuthority asks for each authority and has each sign.
func everyAuthority(t *testing.T, all authority.Authorities) {
	t.Helper()
	for _, p := range cert.Purposes() {
		a, err := all.Authority(t.Context(), p)
		must(t, err)
		must(t, sign(t, a))
	}
}

// What Prepare begins to read, the first join does not read again.
func TestPrepareReadsWhatTheFirstJoinNeeds(t *testing.T) {
	w := newWorld(t)
	s, c := &authorityStore{}, &clock{now: time.Now()}
	everyAuthority(t, w.rotated(s, c)) // makes the certificates
	w.kms.Set(nil)
	s.reads = 0
	all := w.rotated(s, c)
	all.Prepare(t.Context())
	everyAuthority(t, all)
	keys := slices.DeleteFunc(w.calls(), func(op string) bool { return strings.HasSuffix(op, "Sign") })
	if len(keys) != len(cert.Purposes()) || s.reads != 1 {
		t.Errorf("%d calls for %d keys and %d reads of the store, want one of each: %v", len(keys), len(cert.Purposes()), s.reads, keys)
	}
}

// Lambda freezes a function that has answered, with what Prepare began under way. The next
// join does not wait for it.
func TestPrepareThatIsFrozenDelaysNoJoin(t *testing.T) {
	w := newWorld(t)
	c := &clock{now: time.Now()}
	const atOnce = 4 // that many of its calls are under way
	thawed := make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(thawed) }))
	w.kms.Set(awstest.First(atOnce, func(_ awstest.Request, _ http.ResponseWriter, _ func(http.ResponseWriter)) { <-thawed }))
	all := w.rotated(&authorityStore{}, c)
	all.Prepare(t.Context())
	for len(w.kms.Requests()) < atOnce {
		time.Sleep(time.Millisecond)
	}
	c.move(time.Hour)
	everyAuthority(t, all)
}

// The same by a clock that counts: nothing is waited for that began an hour ago.
func TestPrepareIsWaitedForAMomentOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &frozenStore{thawed: make(chan struct{})}
		defer close(s.thawed)
		all := kms.New(kms.Config{Rotated: s})
		for _, tt := range []struct{ after, waits time.Duration }{{0, 500 * time.Millisecond}, {time.Hour, 0}} {
			time.Sleep(tt.after)
			began := time.Now()
			all.Prepare(t.Context())
			if waited := time.Since(began); waited != tt.waits {
				t.Errorf("%s after the start a join waited %s for it, want %s", tt.after, waited, tt.waits)
			}
		}
	})
}

// frozenStore does not answer its first call until it is thawed.
type frozenStore struct {
	thawed chan struct{}
	calls  atomic.Int64
}

func (s *frozenStore) RotatedAuthorities(context.Context) ([]authority.Stored, error) {
	if s.calls.Add(1) == 1 {
		<-s.thawed
	}
	return nil, nil
}

// Where KMS or the store fails meanwhile, a join reads for itself.
func TestPrepareThatFailsIsNoVerdict(t *testing.T) {
	w := newWorld(t)
	s, c := &authorityStore{down: http.ErrServerClosed}, &clock{now: time.Now()}
	w.kms.Set(awstest.Error(http.StatusBadRequest, "AccessDeniedException", nil))
	all := w.rotated(s, c)
	all.Prepare(t.Context())
	for len(w.kms.Requests()) < len(cert.Purposes()) {
		time.Sleep(time.Millisecond)
	}
	w.kms.Set(nil)
	s.mu.Lock()
	s.down = nil
	s.mu.Unlock()
	everyAuthority(t, all)
}

// What Prepare read of a key is held to what is stored of it, as what a join reads is.
func TestPrepareTrustsNoKeyBlindly(t *testing.T) {
	w := newWorld(t)
	s, c := &authorityStore{}, &clock{now: time.Now()}
	a := w.begin(cert.SSHUser)
	a.Keys[0].Public = w.begin(cert.SSHHost).Keys[1].Public
	s.set(a)
	all := w.rotated(s, c)
	all.Prepare(t.Context())
	_, err := all.Authority(t.Context(), cert.SSHUser)
	if err == nil || !strings.Contains(err.Error(), "has another public half than is stored of it") {
		t.Errorf("got %v for a key that differs from what is stored", err)
	}
}
