package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// revocation is one of two certificates, the last of which ends an hour after base.
func (s suite) revocation(id string) store.Revocation {
	return store.Revocation{
		ID: id, JoinID: id, Bot: "example", Token: "example-bot", At: s.base, By: "größe", Reason: "incident 42 🚀",
		Certificates: []store.RevokedCertificate{
			{Authority: cert.SSHUser, Serial: "9223372036854775807", ExpiresAt: s.base.Add(time.Hour)},
			{Authority: cert.X509Database, Serial: strings.Repeat("f", 32), ExpiresAt: s.base.Add(time.Minute)},
		},
	}
}

func revoked(t *testing.T, s Store, added int, all ...store.Revocation) {
	t.Helper()
	got, err := s.Revoke(ctx(t), all)
	check(t, "revoking", err)
	if got != added {
		t.Errorf("%d revocations were added, want %d", got, added)
	}
}

// revocationsAre tests what is stored, by ID.
func revocationsAre(t *testing.T, s Store, want ...store.Revocation) {
	t.Helper()
	got, err := s.Revocations(ctx(t))
	check(t, "reading the revocations", err)
	byID := func(x, y store.Revocation) int { return strings.Compare(x.ID, y.ID) }
	slices.SortFunc(got, byID)
	slices.SortFunc(want, byID)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the revocations are different (-want +got):\n%s", diff)
	}
}

func (s suite) testRevocations(t *testing.T) {
	t.Run("nothing is there at first", func(t *testing.T) {
		a := s.open(t)
		revocationsAre(t, a)
		revoked(t, a, 0)
		if n, err := a.Forget(ctx(t), s.base.Add(time.Hour)); err != nil || n != 0 {
			t.Errorf("Forget: %d, %v; want none", n, err)
		}
	})
	t.Run("what one instance revokes the next read of another sees", func(t *testing.T) {
		a, b := s.pair(t)
		one, serial := s.revocation("01ARYZ6S41TSV4RRFFQ69G5FAV"), s.revocation("x509-database.ff")
		serial.JoinID, serial.Bot, serial.Token, serial.Reason = "", "", "", ""
		one.At = one.At.Add(123456789)
		revoked(t, a, 2, one, serial)
		revocationsAre(t, b, one, serial)
	})
	t.Run("the first revocation of a join stands", func(t *testing.T) {
		a, b := s.pair(t)
		first, second := s.revocation("one"), s.revocation("one")
		second.By, second.Certificates = "other", second.Certificates[:1]
		revoked(t, a, 1, first)
		revoked(t, b, 1, second, s.revocation("two"))
		revocationsAre(t, a, first, s.revocation("two"))
	})
	t.Run("more than a page, at once", func(t *testing.T) {
		a, b := s.pair(t)
		var want []store.Revocation
		for i := range 700 {
			r := s.revocation(fmt.Sprintf("join-%d", i))
			r.Reason = strings.Repeat("x", 2<<10)
			want = append(want, r)
		}
		revoked(t, a, len(want), want...)
		revocationsAre(t, b, want...)
	})
	t.Run("those are forgotten whose last certificate has ended", func(t *testing.T) {
		a, b := s.pair(t)
		short, long := s.revocation("short"), s.revocation("long")
		short.Certificates = short.Certificates[1:]
		revoked(t, a, 2, short, long)
		for _, c := range []struct {
			after time.Duration
			want  int
			left  []store.Revocation
		}{
			{time.Minute, 0, []store.Revocation{short, long}}, // it ends now
			{time.Minute + time.Second, 1, []store.Revocation{long}},
			{time.Hour, 0, []store.Revocation{long}},
			{time.Hour + time.Second, 1, nil},
		} {
			n, err := b.Forget(ctx(t), s.base.Add(c.after))
			if err != nil || n != c.want {
				t.Errorf("after %s %d are forgotten, %v; want %d", c.after, n, err, c.want)
			}
			revocationsAre(t, a, c.left...)
		}
	})
	t.Run("what is no revocation is refused", func(t *testing.T) {
		a := s.open(t)
		empty, nameless := s.revocation("empty"), s.revocation("")
		empty.Certificates = nil
		for _, r := range []store.Revocation{empty, nameless} {
			if _, err := a.Revoke(ctx(t), []store.Revocation{r}); err == nil {
				t.Errorf("%+v was stored", r)
			}
		}
		revocationsAre(t, a)
	})
}
