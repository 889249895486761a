package service

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cli"
)

func TestParseURL(t *testing.T) {
	tests := map[string]string{ // an empty result is a refusal
		"https://join.example.com":            "https://join.example.com",
		"https://join.example.com/":           "https://join.example.com",
		"https://join.example.com/prod/":      "https://join.example.com/prod",
		"join.example.com:443":                "https://join.example.com:443",
		"join.example.com":                    "https://join.example.com",
		"localhost:8600":                      "http://localhost:8600",
		"127.0.0.1:8600":                      "http://127.0.0.1:8600",
		"127.9.9.9:8600":                      "http://127.9.9.9:8600",
		"[::1]:8600":                          "http://[::1]:8600",
		"http://localhost:8600":               "http://localhost:8600",
		"https://localhost:8600":              "https://localhost:8600",
		"":                                    "",
		"   ":                                 "",
		"http://join.example.com":             "",
		"http://10.0.0.1:8600":                "",
		"http://localhost.example.com":        "",
		"http://127.0.0.1.example.com":        "",
		"http://0x7f000001":                   "",
		"http://[::ffff:10.0.0.1]":            "",
		"HTTP://join.example.com":             "",
		"ftp://join.example.com":              "",
		"https://user@join.example.com":       "",
		"https://u:p@join.example.com":        "",
		"https://join.example.com?x=1":        "",
		"https://join.example.com?":           "",
		"https://join.example.com#x":          "",
		"https://join.example.com#":           "",
		"https://":                            "",
		"https:///v1/join":                    "",
		"https://join.example.com:port":       "",
		"http://localhost@evil.example.com":   "",
		"localhost:80@evil.example.com":       "",
		"https://join.example.com\nX: y":      "",
		"http://evil.example.com\\@localhost": "",
	}
	for raw, want := range tests {
		t.Run(raw, func(t *testing.T) {
			u, err := ParseURL(raw)
			if want == "" {
				if err == nil {
					t.Fatalf("accepted as %s", u)
				}
				if f := cli.Of(err); f.Exit != cli.ExitUsage || len(f.Hints) == 0 {
					t.Errorf("kind %d, hints %q", f.Exit, f.Hints)
				}
				return
			}
			if err != nil || u.String() != want {
				t.Errorf("%v %v, want %s", u, err, want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                              0,
		"3":                             3 * time.Second,
		"-3":                            0,
		"99999999999":                   24 * time.Hour,
		"soon":                          0,
		"+3":                            0,
		"99999999999999999999999":       24 * time.Hour,
		"Fri, 31 Dec 9999 23:59:59 GMT": 24 * time.Hour,
		"Thu, 01 Jan 2026 00:00:07 GMT": 7 * time.Second,
		"Wed, 31 Dec 2025 00:00:00 GMT": 0,
	}
	for value, want := range tests {
		header := http.Header{"Retry-After": {value}}
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	// A job whose clock is an hour ahead waits as long as the service means.
	header := http.Header{"Retry-After": {"Thu, 01 Jan 2026 00:00:07 GMT"}, "Date": {"Thu, 01 Jan 2026 00:00:00 GMT"}}
	if got := retryAfter(header, now.Add(time.Hour)); got != 7*time.Second {
		t.Errorf("by a clock that is ahead: %s", got)
	}
}
