package provider_test

import (
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/pkg/provider"
)

// TestBoundAudience holds that a digest has one spelling, and that no other text is one.
func TestBoundAudience(t *testing.T) {
	digest := [provider.DigestBytes]byte{0xfb, 0xff, 31: 1}
	const of = "https://join.example.com/#x"
	bound := provider.BoundAudience(of, digest)
	if want := of + "#gatepass-v1:-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"; bound != want {
		t.Fatalf("bound audience %s, want %s", bound, want)
	}
	if got, ok := provider.BoundDigest(bound); !ok || got != digest || !provider.Bound(bound, of) {
		t.Errorf("its digest is %x, %t", got, ok)
	}
	for _, other := range []string{"", of, of + "#gatepass-v1:", bound + "=", bound + "A", bound[:len(bound)-1], bound[:len(bound)-1] + "F",
		strings.Replace(bound, "-_", "+/", 1), bound[:60] + "\n" + bound[60:], bound + "\n", bound[:len(bound)-1] + "\n", strings.Replace(bound, "#gatepass", "#Gatepass", 1)} {
		if got, ok := provider.BoundDigest(other); ok {
			t.Errorf("%q has the digest %x", other, got)
		}
	}
	for _, base := range []string{"", "https://join.example.com", "https://join.example.com/", of + "#", bound, "HTTPS://join.example.com/#x"} {
		if provider.Bound(bound, base) {
			t.Errorf("%s is said to be the bound form of %q", bound, base)
		}
	}
}
