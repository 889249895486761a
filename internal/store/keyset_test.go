package store

import (
	"testing"
	"time"
)

func TestKeySetStale(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keys := []byte(`{"keys":[]}`)
	for name, tc := range map[string]struct {
		ks   KeySet
		want bool
	}{
		"fetched now":                  {KeySet{JWKS: keys, FetchedAt: now}, false},
		"fetched exactly a day ago":    {KeySet{JWKS: keys, FetchedAt: now.Add(-MaxKeySetAge)}, false},
		"fetched over a day ago":       {KeySet{JWKS: keys, FetchedAt: now.Add(-MaxKeySetAge - time.Nanosecond)}, true},
		"never fetched":                {KeySet{}, true},
		"only failures so far":         {KeySet{FetchedAt: now, TriedAt: now, Failure: "answered 500"}, true},
		"last fetch failed, set fresh": {KeySet{JWKS: keys, FetchedAt: now.Add(-time.Hour), TriedAt: now, Failure: "answered 500"}, false},
		"time of fetch unknown":        {KeySet{JWKS: keys}, true},
		"a little ahead":               {KeySet{JWKS: keys, FetchedAt: now.Add(MaxClockSkew)}, false},
		"more than a little ahead":     {KeySet{JWKS: keys, FetchedAt: now.Add(MaxClockSkew + 1)}, true},
		"fetched tomorrow":             {KeySet{JWKS: keys, FetchedAt: now.AddDate(0, 0, 1)}, true},
		"pinned tomorrow":              {KeySet{JWKS: keys, FetchedAt: now.AddDate(0, 0, 1), Pinned: true}, false},
		"pinned years ago":             {KeySet{JWKS: keys, FetchedAt: now.AddDate(-5, 0, 0), Pinned: true}, false},
		"pinned without keys":          {KeySet{FetchedAt: now, Pinned: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.ks.Stale(now); got != tc.want {
				t.Errorf("Stale = %v, want %v", got, tc.want)
			}
		})
	}
}
