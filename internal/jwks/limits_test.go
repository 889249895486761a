package jwks

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestEveryCharacterOfAHost tries each byte in a host that may be dialed.
func TestEveryCharacterOfAHost(t *testing.T) {
	want := regexp.MustCompile(`\A[A-Za-z0-9._-]+\z`)
	for b := range 256 {
		c := string([]byte{byte(b)})
		if strings.Contains(":[]", c) {
			continue // what stands behind a colon is a port, and in brackets an address
		}
		for _, host := range []string{c, "a" + c + "1", c + "a", "a" + c} {
			if _, err := hostPort(host); (err == nil) != want.MatchString(host) {
				t.Errorf("%q: %v", host, err)
			}
		}
	}
}

// TestWhatIsSaidOfAStatus holds each bound between two statuses.
func TestWhatIsSaidOfAStatus(t *testing.T) {
	for code, want := range map[int]string{
		200: "", 201: "answered 201 Created instead of 200", 204: "instead of 200", 206: "instead of 200", 299: "instead of 200",
		300: "a redirect to", 301: "a redirect to", 304: "a redirect to", 399: "a redirect to",
		400: "answered 400 Bad Request instead of 200", 403: "instead of 200", 404: "check the issuer's URL", 410: "instead of 200",
		428: "instead of 200", 429: "overloaded or down", 430: "instead of 200", 499: "instead of 200", 500: "overloaded or down", 599: "overloaded or down",
	} {
		for host, words := range map[string]string{"ci.example.com": want, "api.bitbucket.org": strings.Replace(want, "check the issuer's URL", "a step with oidc: true", 1)} {
			err := checkAnswer(&http.Response{StatusCode: code, Header: http.Header{}}, &url.URL{Scheme: "https", Host: host})
			if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
				t.Errorf("%d of %s: got %v, want %q", code, host, err, words)
			}
		}
	}
}

// TestAnIssuerIsToldWhoAsks, and for what.
func TestAnIssuerIsToldWhoAsks(t *testing.T) {
	keys := issuerHandler(func() string { return keySet(rsaJWK(`,"kid":"k"`)) })
	var asked []string
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.UserAgent()+" "+r.Header.Get("Accept")+" "+r.Method)
		keys.ServeHTTP(w, r)
	}))
	if _, _, err := Fetch(t.Context(), s.client(t), s.URL); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(asked); got != "[gatepass application/json GET gatepass application/json GET]" {
		t.Errorf("asked %s", got)
	}
}

// TestTheLongestKID holds what is kept of the longest that is taken, and one more.
func TestTheLongestKID(t *testing.T) {
	for n, want := range map[int]int{1: 1, maxKID: 1, maxKID + 1: 0} {
		cleaned, dropped, err := Clean([]byte(keySet(rsaJWK(`,"kid":"` + strings.Repeat("k", n) + `"`))))
		if Count(cleaned) != want || (err == nil) != (want == 1) {
			t.Errorf("%d: %d keys, %v, %v", n, Count(cleaned), dropped, err)
		}
	}
}

// TestTheLargestSet is of 1 MiB.
func TestTheLargestSet(t *testing.T) {
	set := keySet(rsaJWK(`,"kid":"k"`))
	for size, want := range map[int]bool{maxBytes: true, maxBytes + 1: false} {
		_, _, err := Clean([]byte(set + strings.Repeat(" ", size-len(set))))
		if (err == nil) != want || !want && !strings.Contains(err.Error(), "larger than 1048576 bytes") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
