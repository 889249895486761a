package authority_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
)

var begun = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newPublic(t testing.TB, curve elliptic.Curve) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(t, err)
	return &key.PublicKey
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func first(t testing.TB, p cert.Purpose) authority.State {
	t.Helper()
	a, err := authority.First(p, "old", newPublic(t, elliptic.P256()))
	must(t, err)
	return a
}

// shape is which key is for what, in the order in which they were made.
func shape(a authority.State) string {
	var all []string
	for _, k := range a.Keys {
		all = append(all, k.ID+" "+string(k.Use))
	}
	return strings.Join(all, ", ")
}

// walk takes the steps named, an hour apart.
func walk(t testing.TB, a authority.State, steps string) (authority.State, error) {
	t.Helper()
	var err error
	for i, step := range strings.Fields(steps) {
		at := begun.Add(time.Duration(i) * time.Hour)
		switch step {
		case "begin":
			a, err = a.Begin(fmt.Sprintf("new%d", len(a.Keys)), newPublic(t, elliptic.P256()), at)
		case "sign":
			a, err = a.Sign(at)
		case "finish":
			a, err = a.Finish(at)
		case "back":
			a, err = a.Back(at)
		}
		if err != nil {
			return a, err
		}
		must(t, a.Check())
	}
	return a, nil
}

func TestPhases(t *testing.T) {
	for _, c := range []struct {
		steps, shape string
		phase        authority.Phase
		refused      string // the last step is, with this
	}{
		{"", "old signs", authority.Settled, ""},
		{"begin", "old signs, new1 trusted", authority.Announced, ""},
		{"begin sign", "old trusted, new1 signs", authority.Switched, ""},
		{"begin sign finish", "old retired, new1 signs", authority.Settled, ""},
		{"begin back", "old signs, new1 retired", authority.Settled, ""},
		{"begin sign back", "old signs, new1 trusted", authority.Announced, ""},
		{"begin sign back sign", "old trusted, new1 signs", authority.Switched, ""},
		{"begin sign back back", "old signs, new1 retired", authority.Settled, ""},
		{"begin back begin sign finish", "old retired, new1 retired, new2 signs", authority.Settled, ""},
		{"begin sign finish begin", "old retired, new1 signs, new2 trusted", authority.Announced, ""},
		{"begin sign finish begin sign finish", "old retired, new1 retired, new2 signs", authority.Settled, ""},
		{"sign", "", 0, "authority ssh-user is in no rotation and cannot have a new key sign"},
		{"finish", "", 0, "is in no rotation and cannot retire its old key"},
		{"back", "", 0, "is in no rotation and cannot go back"},
		{"begin begin", "", 0, "is in phase 1 and cannot begin a rotation"},
		{"begin finish", "", 0, "is in phase 1 and cannot retire its old key"},
		{"begin sign sign", "", 0, "is in phase 2 and cannot have a new key sign"},
		{"begin sign begin", "", 0, "is in phase 2 and cannot begin a rotation"},
		{"begin sign finish back", "", 0, "is in no rotation and cannot go back"},
	} {
		t.Run(c.steps, func(t *testing.T) {
			a, err := walk(t, first(t, cert.SSHUser), c.steps)
			if c.refused != "" {
				if wrong, ok := errors.AsType[*authority.PhaseError](err); !ok || !strings.Contains(wrong.Error(), c.refused) {
					t.Errorf("got %v, want %q", err, c.refused)
				}
				return
			}
			must(t, err)
			if shape(a) != c.shape || a.Phase() != c.phase {
				t.Errorf("it is %q in %s, want %q in %s", shape(a), a.Phase(), c.shape, c.phase)
			}
			used := a.InUse()
			if used[0].Use != authority.Signs || a.Signing().ID != used[0].ID || (len(used) == 2) != (c.phase != authority.Settled) {
				t.Errorf("in use are %v", used)
			}
			text, err := a.Encode()
			must(t, err)
			again, err := authority.ParseState(cert.SSHUser, text)
			if err != nil || !reflect.DeepEqual(again, a) {
				t.Errorf("%v: it comes back as %+v, was %+v", err, again, a)
			}
		})
	}
}

// A step leaves the value that it starts from as it was.
func TestStepsChangeNothing(t *testing.T) {
	a, err := walk(t, first(t, cert.SSHUser), "begin")
	must(t, err)
	before := shape(a)
	_, err = a.Sign(begun)
	must(t, err)
	_, err = a.Back(begun)
	must(t, err)
	if shape(a) != before {
		t.Errorf("it became %s", shape(a))
	}
}

// What time says of how safe a step is.
func TestEarliest(t *testing.T) {
	const drain = 105 * time.Second // a write, a cache, and a join under way
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	for _, c := range []struct {
		purpose      cert.Purpose
		steps        string // from begun on, an hour apart
		sign, retire time.Duration
	}{
		{cert.SSHUser, "begin", hours(1), -1},
		{cert.X509Database, "begin", hours(1), -1},
		{cert.SSHHost, "begin", hours(12), -1}, // jobs that joined before know only the old key
		{cert.JWT, "begin", hours(24), -1},
		{cert.SSHUser, "begin sign", -1, hours(1) + drain + hours(12)},
		{cert.SSHHost, "begin sign", -1, hours(1) + drain + hours(90*24)},
		// The new key signed for an hour, and was trusted all the while.
		{cert.SSHUser, "begin sign back", hours(1), hours(2) + drain + hours(12)},
	} {
		t.Run(string(c.purpose)+" "+c.steps, func(t *testing.T) {
			a, err := walk(t, first(t, c.purpose), c.steps)
			must(t, err)
			if got := a.SignFrom(); c.sign >= 0 && !got.Equal(begun.Add(c.sign)) {
				t.Errorf("it may sign from %s", got)
			}
			if got := a.RetireFrom(); c.retire < 0 && !got.IsZero() || c.retire >= 0 && !got.Equal(begun.Add(c.retire)) {
				t.Errorf("it may be retired from %s", got)
			}
		})
	}
}

func TestWhatIsNoAuthority(t *testing.T) {
	good, err := walk(t, first(t, cert.SSHUser), "begin")
	must(t, err)
	spoilt := func(change func(*authority.State)) string {
		a := good
		a.Keys = append([]authority.Key(nil), good.Keys...)
		change(&a)
		text, err := json.Marshal(a)
		must(t, err)
		return string(text)
	}
	p384, err := x509.MarshalPKIXPublicKey(newPublic(t, elliptic.P384()))
	must(t, err)
	for name, c := range map[string]struct{ text, says string }{
		"empty":                {"", "EOF"},
		"null":                 {"null", `holds the authority ""`},
		"cut off":              {spoilt(func(*authority.State) {})[:40], "unexpected EOF"},
		"more after it":        {spoilt(func(*authority.State) {}) + "{}", "more after it"},
		"an unknown field":     {`{"type":"ssh-user","keys":[],"force":true}`, "unknown field"},
		"another purpose":      {spoilt(func(a *authority.State) { a.Purpose = cert.SSHHost }), `holds the authority "ssh-host"`},
		"no keys":              {spoilt(func(a *authority.State) { a.Keys = nil }), "0 sign"},
		"nobody signs":         {spoilt(func(a *authority.State) { a.Keys[0].Use = authority.Retired }), "0 sign"},
		"two sign":             {spoilt(func(a *authority.State) { a.Keys[1].Use = authority.Signs }), "2 sign"},
		"an unknown use":       {spoilt(func(a *authority.State) { a.Keys[1].Use = "revered" }), "1 sign and 0 are trusted"},
		"a key twice":          {spoilt(func(a *authority.State) { a.Keys[1].Public = a.Keys[0].Public }), "there twice"},
		"a name twice":         {spoilt(func(a *authority.State) { a.Keys[1].ID = "old" }), "there twice"},
		"a key without a name": {spoilt(func(a *authority.State) { a.Keys[1].ID = "" }), "no name"},
		"no public half":       {spoilt(func(a *authority.State) { a.Keys[1].Public = nil }), "the public half of new1"},
		"a P-384 key":          {spoilt(func(a *authority.State) { a.Keys[1].Public = p384 }), "not ECDSA P-256"},
		"three in use": {spoilt(func(a *authority.State) {
			third := a.Keys[1]
			third.ID, third.Public = "third", must2(x509.MarshalPKIXPublicKey(newPublic(t, elliptic.P256())))
			a.Keys = append(a.Keys, third)
		}), "2 are trusted besides"},
	} {
		if _, err := authority.ParseState(cert.SSHUser, []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	if _, err := authority.First("ssh", "old", newPublic(t, elliptic.P256())); err == nil {
		t.Error("an authority of no purpose")
	}
}

func must2(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestSeeds holds the fuzz target to its seeds: without them it finds nothing.
func TestSeeds(t *testing.T) {
	seeds, err := os.ReadDir("testdata/fuzz/FuzzParseState")
	if err != nil || len(seeds) < 4 {
		t.Errorf("%d seeds: %v", len(seeds), err)
	}
}

// FuzzParseState: whatever is stored is an authority that is sound, or refused.
func FuzzParseState(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := authority.ParseState(cert.SSHUser, text)
		if err != nil {
			return
		}
		if used := a.InUse(); len(used) < 1 || len(used) > 2 || a.Signing().Use != authority.Signs {
			t.Errorf("it has %v in use", used)
		}
		again, err := a.Encode()
		must(t, err)
		if b, err := authority.ParseState(cert.SSHUser, again); err != nil || b.Phase() != a.Phase() {
			t.Errorf("it does not come back: %v", err)
		}
	})
}
