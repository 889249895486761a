package authority_test

import (
	"context"
	"crypto"
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// recorded is a store whose records of joins a test makes up.
type recorded struct {
	*sqlite.Store
	joins   []store.Record
	damaged bool
	asked   int
}

func (r *recorded) Joins(_ context.Context, q store.Query) iter.Seq2[store.Record, error] {
	r.asked++
	return func(yield func(store.Record, error) bool) {
		if r.damaged && !yield(store.Record{}, &store.DamagedError{JoinID: "1", Err: errors.New("cut off")}) {
			return
		}
		n := 0
		for _, j := range r.joins {
			if j.Time.Before(q.Since) || !j.Time.Before(q.Until) || q.Code != "" && j.Code != q.Code || q.Limit > 0 && n == q.Limit {
				continue
			}
			if n++; !yield(j, nil) {
				return
			}
		}
	}
}

// office is where an administrator sits: an embedded store, and a clock that moves
// when somebody waits.
type office struct {
	*authority.Rotator
	t     *testing.T
	store *recorded
	now   time.Time
	waits []time.Duration
	told  []string
}

func newOffice(t *testing.T, cacheFor time.Duration) *office {
	t.Helper()
	data := t.TempDir()
	s, err := sqlite.Open(t.Context(), data, sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	folder := filepath.Join(data, "authorities")
	authorities := func() (authority.Authorities, error) {
		return localca.Open(context.Background(), folder, localca.Options{Rotated: s})
	}
	_, err = authorities()
	must(t, err)
	o := &office{t: t, store: &recorded{Store: s}, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	o.Rotator = &authority.Rotator{
		Store: o.store, Keys: localca.NewKeyRing(folder, localca.Options{}), Authorities: authorities, CacheFor: cacheFor,
		Now: func() time.Time { return o.now },
		Wait: func(ctx context.Context, d time.Duration) error {
			o.waits, o.now = append(o.waits, d), o.now.Add(d)
			return ctx.Err()
		},
		Tell: func(doing string) { o.told = append(o.told, doing) },
	}
	return o
}

// step takes a step, which must be possible.
func (o *office) step(s authority.Step, force bool, purposes ...cert.Purpose) []authority.Rotated {
	o.t.Helper()
	rotated, err := o.Rotate(o.t.Context(), s, force, purposes...)
	must(o.t, err)
	return rotated
}

func (o *office) phase(p cert.Purpose) authority.Phase {
	o.t.Helper()
	s, err := o.State(o.t.Context(), p)
	must(o.t, err)
	return s.Phase()
}

// early is until when a step is refused; zero if it is not.
func (o *office) early(s authority.Step, p cert.Purpose) time.Duration {
	o.t.Helper()
	before, from := o.phase(p), o.now
	_, err := o.Rotate(o.t.Context(), s, false, p)
	early, ok := errors.AsType[*authority.TooEarlyError](err)
	if !ok {
		must(o.t, err)
		return 0
	}
	if o.phase(p) != before || early.Purpose != p || !strings.Contains(err.Error(), "too early") {
		o.t.Errorf("%v, and it is in %s", err, o.phase(p))
	}
	if next, err := o.From(o.t.Context(), stood(o.State(o.t.Context(), p)).State); s != authority.StepBack && (err != nil || !next.Equal(early.From)) {
		o.t.Errorf("it is said to be possible from %s, and refused until %s", next, early.From)
	}
	return early.From.Sub(from)
}

// stood is what State answered, which has to be possible.
func stood(s authority.Stored, err error) authority.Stored {
	if err != nil {
		panic(err)
	}
	return s
}

func TestANewKeySignsWhenItIsKnown(t *testing.T) {
	for p, want := range map[cert.Purpose]time.Duration{
		cert.SSHUser: time.Hour, cert.X509Database: time.Hour, cert.SSHHost: 12 * time.Hour, cert.JWT: 24 * time.Hour,
	} {
		o := newOffice(t, 0)
		o.step(authority.StepAnnounce, false, p)
		if got := o.early(authority.StepSign, p); got != want {
			t.Errorf("%s: phase 2 is refused for %s, want %s", p, got, want)
		}
		o.now = o.now.Add(want - time.Second)
		if got := o.early(authority.StepSign, p); got != time.Second {
			t.Errorf("%s: a second before phase 2 is refused for %s", p, got)
		}
		o.now = o.now.Add(time.Second)
		if got := o.early(authority.StepSign, p); got != 0 || o.phase(p) != authority.Switched {
			t.Errorf("%s: phase 2 is refused for %s", p, got)
		}
	}
}

// credential is one recorded credential of a join, in minutes from phase 2.
type credential struct {
	joined, ends int
	kind, usage  string
	code         string
}

func TestAnOldKeyIsRetiredWhenNothingRelies(t *testing.T) {
	const drain = 105 * time.Second
	for name, c := range map[string]struct {
		purpose cert.Purpose
		records []credential
		damaged bool
		after   time.Duration // phase 2, when phase 3 is tried
		want    time.Duration // after phase 2, until when it is refused
	}{
		"nobody joined":                   {purpose: cert.SSHUser, want: drain},
		"a login that lasts":              {purpose: cert.SSHUser, records: []credential{{joined: -5, ends: 10, kind: api.TypeSSH}}, want: 10 * time.Minute},
		"the last one counts":             {purpose: cert.SSHUser, records: []credential{{joined: -5, ends: 10, kind: api.TypeSSH}, {joined: -90, ends: 60, kind: api.TypeSSH}, {joined: -1, ends: 14, kind: api.TypeSSH}}, want: time.Hour},
		"it has ended":                    {purpose: cert.SSHUser, records: []credential{{joined: -5, ends: 10, kind: api.TypeSSH}}, after: 10 * time.Minute, want: 0},
		"the new key signed it":           {purpose: cert.SSHUser, records: []credential{{joined: 2, ends: 17, kind: api.TypeSSH}}, want: drain},
		"a function had not read of it":   {purpose: cert.SSHUser, records: []credential{{joined: 1, ends: 16, kind: api.TypeSSH}}, want: 16 * time.Minute},
		"a refused join":                  {purpose: cert.SSHUser, records: []credential{{joined: -5, ends: 10, kind: api.TypeSSH, code: "locked"}}, want: drain},
		"a credential of another kind":    {purpose: cert.SSHUser, records: []credential{{joined: -5, ends: 10, kind: api.TypeX509, usage: api.UsageIdentity}, {joined: -5, ends: 11, kind: api.TypeJWT}}, want: drain},
		"of another usage":                {purpose: cert.X509Database, records: []credential{{joined: -5, ends: 10, kind: api.TypeX509, usage: api.UsageIdentity}}, want: drain},
		"a database user's":               {purpose: cert.X509Database, records: []credential{{joined: -5, ends: 10, kind: api.TypeX509, usage: api.UsageDatabase}}, want: 10 * time.Minute},
		"a JWT":                           {purpose: cert.JWT, records: []credential{{joined: -5, ends: 10, kind: api.TypeJWT}}, want: 10 * time.Minute},
		"a record that cannot be read":    {purpose: cert.SSHUser, damaged: true, want: 12*time.Hour + drain},
		"hosts: no record tells of them":  {purpose: cert.SSHHost, want: 90*24*time.Hour + drain},
		"after the longest there can be":  {purpose: cert.SSHUser, damaged: true, after: 12*time.Hour + drain, want: 0},
		"a host's, after the usual lives": {purpose: cert.SSHHost, after: 90*24*time.Hour + drain, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, 0)
			o.step(authority.StepAnnounce, false, c.purpose)
			o.step(authority.StepSign, true, c.purpose)
			switched := o.now
			at := func(minutes int) time.Time { return switched.Add(time.Duration(minutes) * time.Minute) }
			o.store.damaged = c.damaged
			for _, r := range c.records {
				code := store.CodeOK
				if r.code != "" {
					code = r.code
				}
				o.store.joins = append(o.store.joins, store.Record{Time: at(r.joined), Code: code,
					Credentials: []store.RecordCredential{{Type: r.kind, Usage: r.usage, ExpiresAt: at(r.ends)}}})
			}
			o.now = switched.Add(c.after)
			if got := o.early(authority.StepFinish, c.purpose); got != c.want {
				t.Errorf("phase 3 is refused for %s, want %s", got, c.want)
			}
			if want := map[bool]authority.Phase{true: authority.Settled, false: authority.Switched}[c.want == 0]; o.phase(c.purpose) != want {
				t.Errorf("it is in %s", o.phase(c.purpose))
			}
		})
	}
	t.Run("a switch that was undone", func(t *testing.T) {
		o := newOffice(t, 0)
		o.step(authority.StepAnnounce, false, cert.SSHUser)
		o.step(authority.StepSign, true, cert.SSHUser)
		o.now = o.now.Add(time.Hour)
		o.step(authority.StepBack, false, cert.SSHUser)
		o.store.joins = []store.Record{{Time: o.now.Add(-time.Minute), Code: store.CodeOK, Credentials: []store.RecordCredential{{Type: api.TypeSSH, ExpiresAt: o.now.Add(9 * time.Minute)}}}}
		if got := o.early(authority.StepBack, cert.SSHUser); got != 9*time.Minute {
			t.Errorf("the new key, which has signed, can go after %s, want 9m", got)
		}
	})
	t.Run("a new key that never signed", func(t *testing.T) {
		o := newOffice(t, 0)
		o.step(authority.StepAnnounce, false, cert.SSHHost)
		if got := o.early(authority.StepBack, cert.SSHHost); got != 0 || o.phase(cert.SSHHost) != authority.Settled {
			t.Errorf("it can go after %s", got)
		}
	})
}

func TestEachStepWaitsForTheFunctions(t *testing.T) {
	// Whoever reads of a step does not know how long its write took; who made it does.
	const minute, write = authority.CacheFor, authority.WriteTime
	waited := func(o *office, want ...time.Duration) {
		t.Helper()
		if !slices.Equal(o.waits, want) {
			t.Errorf("it waited %v, want %v", o.waits, want)
		}
		o.waits = nil
	}
	o := newOffice(t, minute)
	if o.step(authority.StepAnnounce, false, cert.SSHUser); len(o.told) != 2 || !strings.Contains(o.told[1], "waiting 1m0s") {
		t.Errorf("it tells of %q", o.told)
	}
	waited(o, minute)
	o.step(authority.StepSign, true, cert.SSHUser)
	waited(o, write, minute)
	o.step(authority.StepSign, false, cert.SSHUser)
	waited(o, write)
	o.step(authority.StepSign, false, cert.SSHUser)
	waited(o) // it reached all for certain

	// A run that was interrupted while it waited: the step is made, and the rest of the
	// wait is left, also before the next step.
	o = newOffice(t, minute)
	ctx, cancel := context.WithCancel(t.Context())
	o.Wait = func(context.Context, time.Duration) error {
		cancel()
		o.now = o.now.Add(20 * time.Second)
		return ctx.Err()
	}
	rotated, err := o.Rotate(ctx, authority.StepAnnounce, false, cert.SSHUser)
	if !errors.Is(err, context.Canceled) || len(rotated) != 1 || o.phase(cert.SSHUser) != authority.Announced {
		t.Errorf("interrupted: %v, %v, and it is in %s", rotated, err, o.phase(cert.SSHUser))
	}
	o.Wait = func(_ context.Context, d time.Duration) error {
		o.waits, o.now = append(o.waits, d), o.now.Add(d)
		return nil
	}
	interrupted := o.now
	if r := o.step(authority.StepAnnounce, false, cert.SSHUser); r[0].Changed {
		t.Error("the step was made a second time")
	}
	waited(o, write+minute-20*time.Second)
	o.now = interrupted
	o.step(authority.StepSign, true, cert.SSHUser)
	waited(o, write+minute-20*time.Second, minute)

	// An administrator whose clock is an hour ahead made the step before.
	o = newOffice(t, minute)
	o.step(authority.StepAnnounce, false, cert.SSHUser)
	o.waits, o.now = nil, o.now.Add(-time.Hour)
	o.step(authority.StepAnnounce, false, cert.SSHUser)
	waited(o, write+minute)
}

// The service is asked whether it goes by what was stored: before a new key signs, and
// before a step is said to be done.
func TestTheServiceIsAsked(t *testing.T) {
	o := newOffice(t, 0)
	names := func() (all []string) {
		for _, k := range stood(o.State(t.Context(), cert.SSHUser)).InUse() {
			name, err := k.Name(cert.SSHUser)
			must(t, err)
			all = append(all, name)
		}
		return all
	}
	answer := authority.Published{cert.SSHUser: names()}
	var down error
	o.Published = func(context.Context) (authority.Published, error) { return answer, down }
	refused := func(s authority.Step) {
		t.Helper()
		_, err := o.Rotate(t.Context(), s, true, cert.SSHUser)
		if wrong, ok := errors.AsType[*authority.UnpublishedError](err); !ok || wrong.Purpose != cert.SSHUser || !slices.Equal(wrong.Want, names()) {
			t.Errorf("phase %s: got %v, want that the service does not tell of %q", s, err, names())
		}
	}
	refused(authority.StepAnnounce)
	if o.phase(cert.SSHUser) != authority.Announced {
		t.Error("the step was not made")
	}
	// It cannot read the new key: were that to sign, all joins would be refused.
	refused(authority.StepSign)
	if o.phase(cert.SSHUser) != authority.Announced {
		t.Error("a key signs that the service cannot read")
	}
	answer = authority.Published{cert.SSHUser: names()}
	o.step(authority.StepAnnounce, false, cert.SSHUser)
	refused(authority.StepSign) // made, and not gone by yet: the old key still is first
	if o.phase(cert.SSHUser) != authority.Switched {
		t.Error("the step was not made")
	}
	answer = authority.Published{cert.SSHUser: names()}
	o.step(authority.StepSign, false, cert.SSHUser)
	refused(authority.StepFinish)
	past := stood(o.State(t.Context(), cert.SSHUser)).Keys[0].ID
	if id, _, err := o.Keys.First(t.Context(), cert.SSHUser); err != nil || id != past {
		t.Errorf("the old key was put out of use before the service went by that: %v", err)
	}
	// Out of reach is not out of order, and neither is an authority that it lacks.
	o.told, down = nil, errors.New("no route to host")
	o.step(authority.StepFinish, false, cert.SSHUser)
	if len(o.told) != 1 || !strings.Contains(o.told[0], "could not be asked whether it goes by this: no route to host") {
		t.Errorf("it tells of %q", o.told)
	}
	answer, down = authority.Published{}, nil
	o.step(authority.StepAnnounce, false, cert.SSHHost)
}

// slowRing takes its time to make a key.
type slowRing struct {
	authority.KeyRing
	o *office
}

func (r slowRing) Make(ctx context.Context, a authority.State) (string, crypto.PublicKey, error) {
	r.o.now = r.o.now.Add(40 * time.Second)
	return r.KeyRing.Make(ctx, a)
}

// The minute begins when the last of the steps is stored, not when its key is begun.
func TestTheWaitBeginsWhenAllIsStored(t *testing.T) {
	o := newOffice(t, authority.CacheFor)
	o.Keys = slowRing{o.Keys, o}
	o.step(authority.StepAnnounce, false, cert.SSHUser, cert.JWT)
	if !slices.Equal(o.waits, []time.Duration{authority.CacheFor}) {
		t.Errorf("it waited %v, want a minute", o.waits)
	}
	s := stood(o.State(t.Context(), cert.JWT))
	if since := s.Keys[1].TrustedSince; !since.Equal(o.now.Add(-authority.CacheFor)) || !since.Equal(s.UpdatedAt) {
		t.Errorf("the second key is said to be trusted since %s, and now is %s", since, o.now)
	}
}

func TestSeveralAuthoritiesStepTogetherOrNotAtAll(t *testing.T) {
	o := newOffice(t, authority.CacheFor)
	o.step(authority.StepAnnounce, false, cert.SSHUser)
	o.waits = nil
	_, err := o.Rotate(t.Context(), authority.StepSign, true, cert.SSHUser, cert.JWT)
	if wrong, ok := errors.AsType[*authority.PhaseError](err); !ok || wrong.Purpose != cert.JWT || o.phase(cert.SSHUser) != authority.Announced {
		t.Errorf("%v, and the other is in %s", err, o.phase(cert.SSHUser))
	}
	rotated := o.step(authority.StepAnnounce, false, cert.SSHUser, cert.JWT, cert.X509Identity)
	if rotated[0].Changed || !rotated[1].Changed || !rotated[2].Changed || len(o.waits) != 1 {
		t.Errorf("changed: %v; waits %v", rotated, o.waits)
	}
}

// Who asks for the end of a rotation that somebody else ended in the other way must
// not be told that it was so.
func TestTheOtherEndOfARotation(t *testing.T) {
	o := newOffice(t, 0)
	wrong := func(s authority.Step) {
		t.Helper()
		_, err := o.Rotate(t.Context(), s, true, cert.SSHUser)
		if _, ok := errors.AsType[*authority.PhaseError](err); !ok {
			t.Errorf("phase %s: got %v, want that there is no rotation", s, err)
		}
	}
	o.step(authority.StepAnnounce, true, cert.SSHUser)
	o.step(authority.StepBack, true, cert.SSHUser)
	wrong(authority.StepFinish)
	o.step(authority.StepBack, true, cert.SSHUser) // as it was
	o.step(authority.StepAnnounce, true, cert.SSHUser)
	o.step(authority.StepSign, true, cert.SSHUser)
	o.step(authority.StepFinish, true, cert.SSHUser)
	wrong(authority.StepBack)
	o.step(authority.StepFinish, true, cert.SSHUser) // as it was
}

func TestSomeoneElseRotates(t *testing.T) {
	o := newOffice(t, 0)
	o.step(authority.StepAnnounce, false, cert.SSHUser)
	seen, err := o.State(t.Context(), cert.SSHUser)
	must(t, err)
	o.step(authority.StepSign, true, cert.SSHUser)
	// Who read before writes after.
	back, err := seen.Back(o.now)
	must(t, err)
	err = o.store.PutRotatedAuthority(t.Context(), back, seen.Revision, o.now)
	if conflict, ok := errors.AsType[*store.ConflictError](err); !ok || conflict.Error() != "authority/ssh-user was changed by someone else meanwhile" {
		t.Errorf("got %v, want a conflict", err)
	}
	// While one waits, another goes on.
	o = newOffice(t, authority.CacheFor)
	other := *o.Rotator
	other.Wait = func(context.Context, time.Duration) error { return nil }
	o.Wait = func(context.Context, time.Duration) error {
		_, err := other.Rotate(t.Context(), authority.StepSign, true, cert.SSHUser)
		return err
	}
	if _, err := o.Rotate(t.Context(), authority.StepAnnounce, false, cert.SSHUser); err == nil || !strings.Contains(err.Error(), "changed by someone else meanwhile") {
		t.Errorf("got %v", err)
	}
	if o.phase(cert.SSHUser) != authority.Switched {
		t.Errorf("it is in %s", o.phase(cert.SSHUser))
	}
}
