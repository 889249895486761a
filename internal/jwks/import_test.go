package jwks

import (
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

func TestImport(t *testing.T) {
	const issuer = "https://circleci.example.com"
	s := newStore()
	ks, dropped, err := Import(t.Context(), s, issuer, []byte(keySet(ecJWK(`,"kid":"e"`), rsaJWK(``))), testNow)
	if err != nil || len(dropped) != 1 || !strings.Contains(dropped[0].Reason, "kid") {
		t.Fatalf("dropped %v, %v", dropped, err)
	}
	if want := keySet(ecJWK(`,"kid":"e","alg":"ES256","use":"sig"`)); string(ks.JWKS) != want {
		t.Errorf("got  %s\nwant %s", ks.JWKS, want)
	}
	got := s.get(issuer)
	if got.Issuer != issuer || !got.Pinned || string(got.JWKS) != string(ks.JWKS) || !got.FetchedAt.Equal(testNow) {
		t.Errorf("stored %+v", got)
	}
	if got.Stale(testNow.AddDate(3, 0, 0)) {
		t.Error("a pinned set goes stale")
	}

	// It replaces what is there, pinned or not, older or newer.
	s.sets[issuer] = store.KeySet{Issuer: issuer, JWKS: []byte(`{}`), FetchedAt: testNow.Add(time.Hour), Failure: "down"}
	for range 2 {
		if _, _, err := Import(t.Context(), s, issuer, []byte(keySet(rsaJWK(`,"kid":"r"`))), testNow); err != nil {
			t.Fatal(err)
		}
		if got := s.get(issuer); !strings.Contains(string(got.JWKS), `"kid":"r"`) || got.Failure != "" || !got.Pinned {
			t.Errorf("stored %+v", got)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	s := newStore()
	good := keySet(ecJWK(`,"kid":"e"`))
	for name, tc := range map[string]struct{ issuer, jwks, want string }{
		"issuer over http":       {"http://circleci.example.com", good, "https://"},
		"issuer with a slash":    {"https://circleci.example.com/", good, "slash"},
		"no set":                 {"https://circleci.example.com", "", "JSON"},
		"a private key":          {"https://circleci.example.com", keySet(ecJWK(`,"kid":"e","d":"AQ"`)), "compromised"},
		"none that may be used":  {"https://circleci.example.com", keySet(ecJWK(``)), "no kid"},
		"a file that is too big": {"https://circleci.example.com", good + strings.Repeat(" ", 1<<20), "larger"},
	} {
		_, _, err := Import(t.Context(), s, tc.issuer, []byte(tc.jwks), testNow)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(s.sets) != 0 {
		t.Errorf("stored %v", s.sets)
	}
}
