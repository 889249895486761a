package source

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestGitHub(t *testing.T) {
	tests := map[string]struct {
		audience string
		answer   func(w http.ResponseWriter, r *http.Request)
		fails    string
	}{
		"minted": {"a", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("audience") != "a" || r.URL.Query().Get("v") != "2" || r.Header.Get("Authorization") != "Bearer s3cret" {
				http.Error(w, "no", http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"count": 1, "value": %q}`, minted)
		}, ""},
		"without an audience":      {"", nil, "mints one for --audience"},
		"for another audience":     {"a", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"value": %q}`, fromBitbucket) }, `not for audience "a"`},
		"an audience that escapes": {"a&audience=b", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, `{"value": %q}`, minted) }, `not for audience "a&audience=b"`},
		"refused":                  {"a", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "s3cret", http.StatusForbidden) }, "GitHub gives none"},
		"no value":                 {"a", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, "GitHub gives none"},
		"too much": {"a", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"value": "%s"}`, strings.Repeat("x", 1<<20))
		}, "GitHub gives none"},
		"sent elsewhere": {"a", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, "GitHub gives none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/mint" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				test.answer(w, r)
			}))
			defer runner.Close()
			env := map[string]string{"GITHUB_ACTIONS": "true", envGitHubURL: runner.URL + "/mint?v=2", envGitHubToken: "s3cret"}
			f := Finder{Audience: test.audience, Getenv: func(name string) string { return env[name] }}
			token, err := found(f)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil || token.Value() != minted || token.Method != "github" {
				t.Errorf("%s %q %v", token, token.Method, err)
			}
		})
	}
}

// What mints ID tokens is none itself, and children are not given it.
func TestGitHubsSecretIsNoIDToken(t *testing.T) {
	env := map[string]string{envGitHubToken: minted}
	f := Finder{Audience: "a", Getenv: func(name string) string { return env[name] }}
	if token, err := found(f); err == nil {
		t.Errorf("found %s", token)
	}
	if !slices.Contains(Variables(), envGitHubToken) {
		t.Error("children are given the secret")
	}
}
