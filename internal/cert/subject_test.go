package cert_test

import (
	"testing"

	"github.com/gatepass-ci/gatepass/internal/cert"
)

func TestTrustDomainOf(t *testing.T) {
	for url, want := range map[string]string{
		"https://Join.Example.com/gatepass": "join.example.com",
		"http://127.0.0.1:8600":             "127.0.0.1",
		"http://[::1]:8600":                 "localhost",
		"":                                  "",
		"%":                                 "",
	} {
		if got := cert.TrustDomainOf(url); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}
