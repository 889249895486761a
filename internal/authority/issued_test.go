package authority_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/store"
)

// records are those of a store, which notes what it is asked for.
type records struct {
	all   []store.Record
	fails error
	asked store.Query
}

func (r *records) Joins(_ context.Context, q store.Query) iter.Seq2[store.Record, error] {
	r.asked = q
	return func(yield func(store.Record, error) bool) {
		for _, one := range r.all {
			if !yield(one, nil) {
				return
			}
		}
		if r.fails != nil {
			yield(store.Record{}, r.fails)
		}
	}
}

func (r *records) Join(context.Context, string) (store.Record, error) {
	return store.Record{}, store.ErrNotFound
}

func given(kind, usage, serial string, ends time.Duration) store.RecordCredential {
	return store.RecordCredential{Type: kind, Usage: usage, Serial: serial, ExpiresAt: at.Add(ends)}
}

func TestValidOf(t *testing.T) {
	s := &records{all: []store.Record{
		{JoinID: "one", Bot: "example", Token: "example-bot", Credentials: []store.RecordCredential{
			given("ssh", "", "1", time.Hour), given("x509", "database", "a", time.Hour), given("x509", "kubernetes", "b", time.Hour),
			given("jwt", "", "one-3", time.Hour), given("jwt", "", "one-4", 2*time.Hour),
		}},
		{JoinID: "over", Credentials: []store.RecordCredential{given("ssh", "", "2", -5*time.Minute-time.Second), given("jwt", "", "3", -time.Hour)}},
		{JoinID: "over, by a clock that lags it is not", Credentials: []store.RecordCredential{given("ssh", "", "4", -5*time.Minute)}},
		{JoinID: "granted nothing"},
	}}
	issued, err := authority.ValidOf(t.Context(), s, store.Query{Bot: "example", Limit: 0}, at)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range issued.Revocations {
		for _, c := range r.Certificates {
			got = append(got, fmt.Sprintf("%s %s %s", r.ID, c.Authority, c.Serial))
		}
	}
	want := []string{"one ssh-user 1", "one x509-database a", "one x509-kubernetes b", "over, by a clock that lags it is not ssh-user 4"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if issued.JWTs != 2 || !issued.JWTsUntil.Equal(at.Add(2*time.Hour)) {
		t.Errorf("%d JWTs until %s", issued.JWTs, issued.JWTsUntil)
	}
	if r := issued.Revocations[0]; r.JoinID != "one" || r.Bot != "example" || r.Token != "example-bot" {
		t.Errorf("the revocation is %+v", r)
	}
	if q := s.asked; q.Bot != "example" || q.Code != store.CodeOK || !q.Since.Before(at.Add(-cert.MaxTTL-5*time.Minute)) || !q.Until.IsZero() {
		t.Errorf("asked for %+v", q)
	}
}

// A join and its retries issued one set of certificates, which is one revocation, by
// whichever of their records it is known first.
func TestRetriesAreOneRevocation(t *testing.T) {
	one := store.Record{JoinID: "one", Bot: "example", Token: "example-bot", Credentials: []store.RecordCredential{
		given("ssh", "", "1", time.Hour), given("x509", "database", "1", time.Hour), given("jwt", "", "one-0", time.Hour)}}
	retry := one
	retry.JoinID, retry.RetryOf = "two", "one"
	for name, all := range map[string][]store.Record{"the retry first": {retry, one, retry}, "the retry last": {one, retry}, "the retry alone": {retry}} {
		issued, err := authority.ValidOf(t.Context(), &records{all: all}, store.Query{}, at)
		if err != nil || len(issued.Revocations) != 1 || issued.JWTs != 1 {
			t.Errorf("%s: %+v, %v", name, issued, err)
			continue
		}
		if r := issued.Revocations[0]; r.ID != "one" || r.JoinID != "one" || len(r.Certificates) != 2 {
			t.Errorf("%s: the revocation is %+v", name, r)
		}
	}
}

// A join whose signature failed was given nothing, and its retry may have been: whoever
// revokes it by the id that the certificates' JWT has must not hear that nothing is valid.
func TestARefusedJoinIsRevokedByItsRetry(t *testing.T) {
	refused := store.Record{JoinID: "one", Bot: "example", Code: "signer_unavailable", Digest: "d"}
	retry := store.Record{JoinID: "two", RetryOf: "one", Bot: "example", Credentials: []store.RecordCredential{given("ssh", "", "1", time.Hour)}}
	other := store.Record{JoinID: "three", Bot: "example", Credentials: []store.RecordCredential{given("ssh", "", "2", time.Hour)}}
	issued, err := authority.OfJoin(t.Context(), &records{all: []store.Record{other, retry, refused}}, refused, at)
	if err != nil || len(issued.Revocations) != 1 || issued.Revocations[0].ID != "one" || issued.Revocations[0].Certificates[0].Serial != "1" {
		t.Errorf("got %+v, %v", issued, err)
	}
	granted := store.Record{JoinID: "three", Bot: "example", Code: store.CodeOK, Credentials: other.Credentials}
	if issued, err := authority.OfJoin(t.Context(), &records{fails: errors.New("not to be asked")}, granted, at); err != nil || len(issued.Revocations) != 1 {
		t.Errorf("a join that was granted: %+v, %v", issued, err)
	}
}

func TestValidOfWhatCannotBeRead(t *testing.T) {
	s := &records{all: []store.Record{{JoinID: "one", Credentials: []store.RecordCredential{given("ssh", "", "1", time.Hour)}}}}
	s.fails = &store.DamagedError{JoinID: "bad", Err: errors.New("no JSON")}
	issued, err := authority.ValidOf(t.Context(), s, store.Query{}, at)
	if err != nil || len(issued.Revocations) != 1 || len(issued.Damaged) != 1 {
		t.Errorf("a damaged record: %+v, %v", issued, err)
	}
	s.fails = errors.New("throttled")
	if issued, err := authority.ValidOf(t.Context(), s, store.Query{}, at); err == nil {
		t.Errorf("a store that fails: %+v", issued)
	}
}

func TestBySerial(t *testing.T) {
	s := &records{all: []store.Record{{JoinID: "one", Bot: "example", Credentials: []store.RecordCredential{
		given("ssh", "", "255", time.Hour), given("x509", "database", "ff0a", time.Hour), given("x509", "identity", "ff0a", 2*time.Hour),
	}}}}
	for _, c := range []struct {
		authority cert.Purpose
		text      string
		id        string // empty if it is refused
		found     bool
		ends      time.Duration
	}{
		{cert.SSHUser, "255", "ssh-user.255", true, time.Hour},
		{cert.SSHUser, "256", "ssh-user.256", false, cert.MaxTTL},
		{cert.X509Database, "FF:0A", "x509-database.ff0a", true, time.Hour},
		{cert.X509Identity, "00ff0a", "x509-identity.ff0a", true, 2 * time.Hour},
		{cert.X509Application, "ff0a", "x509-application.ff0a", false, cert.MaxTTL},
		{cert.SSHUser, "ff", "", false, 0},
		{cert.JWT, "255", "", false, 0},
	} {
		t.Run(fmt.Sprintf("%s %s", c.authority, c.text), func(t *testing.T) {
			r, found, err := authority.BySerial(t.Context(), s, c.authority, c.text, at)
			if (err == nil) != (c.id != "") || found != c.found || r.ID != c.id {
				t.Fatalf("got %q, %t, %v", r.ID, found, err)
			}
			if err == nil && (len(r.Certificates) != 1 || !r.Ends().Equal(at.Add(c.ends)) || (r.Bot == "example") != c.found) {
				t.Errorf("it is %+v", r)
			}
		})
	}
}
