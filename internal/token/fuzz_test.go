package token_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
)

// Whatever Parse lets through has one spelling, is small, and is refused or let
// through by the steps after it without a panic. Nothing signed it, so nothing
// may verify.
func FuzzParse(f *testing.F) {
	keys := fixedKeys(f)
	for _, name := range []string{"rs256.jwt", "es256.jwt"} {
		raw := fixed(f, name)
		f.Add(raw[:strings.LastIndexByte(raw, '.')] + ".AAAA") // without its signature, which would verify
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := token.Parse(raw)
		if err != nil {
			expectAnyCode(t, err, token.Malformed, token.UnsupportedAlgorithm)
			return
		}
		if len(raw) > token.MaxBytes || strings.Count(raw, ".") != 2 || p.KeyID() == "" {
			t.Fatalf("parsed %q", raw)
		}
		for _, segment := range strings.Split(raw, ".") {
			b, err := base64.RawURLEncoding.Strict().DecodeString(segment)
			if err != nil || base64.RawURLEncoding.EncodeToString(b) != segment {
				t.Fatalf("segment %q has another spelling (%v)", segment, err)
			}
		}
		if p.Algorithm() != "RS256" && p.Algorithm() != "ES256" {
			t.Fatalf("algorithm %q", p.Algorithm())
		}
		if p.Hash() != sha256.Sum256([]byte(raw[:strings.LastIndexByte(raw, '.')])) {
			t.Fatal("the hash is not that of header.payload")
		}
		if err := p.Precheck(now()); err != nil {
			expectAnyCode(t, err, token.Malformed, token.MissingClaim, token.Expired, token.NotYetValid)
		} else if p.Issuer() == "" {
			t.Fatal("the token passed without an issuer")
		}
		for _, e := range []token.Expect{fixedBitbucket(), fixedCircleCI()} {
			_, err := p.VerifySignature(keys, e.Method)
			expectAnyCode(t, err, token.UnknownKey, token.BadSignature)
		}
	})
}

// An honest token with any stretch of it replaced by anything else never verifies.
func FuzzMutatedTokenNeverVerifies(f *testing.F) {
	keys := fixedKeys(f)
	rs, es := fixed(f, "rs256.jwt"), fixed(f, "es256.jwt")
	for raw, e := range map[string]token.Expect{rs: fixedBitbucket(), es: fixedCircleCI()} {
		if _, err := verify(raw, keys, e, now()); err != nil {
			f.Fatalf("the honest token does not verify, so this target is of no use: %v", err)
		}
	}
	f.Add(false, uint16(0), uint16(0), "A")
	f.Fuzz(func(t *testing.T, ec bool, from, length uint16, replacement string) {
		honest, e := rs, fixedBitbucket()
		if ec {
			honest, e = es, fixedCircleCI()
		}
		start := int(from) % (len(honest) + 1)
		end := start + int(length)%(len(honest)-start+1)
		mutated := honest[:start] + replacement + honest[end:]
		if mutated == honest {
			return
		}
		p, err := token.Parse(mutated)
		if err != nil {
			return
		}
		// The one other signature that fits: harmless, since it has the same Hash.
		if ec {
			if twin, err := issuertest.Malleate(honest); err == nil && twin == mutated {
				return
			}
		}
		if v, err := p.VerifySignature(keys, e.Method); err == nil {
			t.Fatalf("%q replaced at %d verifies: %v", replacement, start, v)
		}
	})
}

func TestFuzzTargetsHaveSeeds(t *testing.T) {
	for _, target := range []string{"FuzzParse", "FuzzMutatedTokenNeverVerifies"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
		if err != nil || len(seeds) == 0 {
			t.Errorf("%s has no seeds in testdata/fuzz (%v)", target, err)
		}
		for _, seed := range seeds {
			if b, err := os.ReadFile(seed); err != nil || !bytes.HasPrefix(b, []byte("go test fuzz v1\n")) {
				t.Errorf("%s is no seed (%v)", seed, err)
			}
		}
	}
}

func fixed(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func fixedKeys(t testing.TB) *token.KeySet {
	t.Helper()
	keys, err := token.ParseKeySet([]byte(fixed(t, "jwks.json")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func fixedBitbucket() token.Expect {
	return token.Expect{Method: "bitbucket", Audience: audience, MaxAge: time.Hour,
		Issuer: issuertest.BitbucketHost + "/2.0/workspaces/acme/pipelines-config/identity/oidc"}
}

func fixedCircleCI() token.Expect {
	return token.Expect{Method: "circleci", Audience: audience, MaxAge: time.Hour,
		Issuer: issuertest.CircleCIHost + "/org/" + issuertest.OrganizationID, Section: circleSection(issuertest.OrganizationID)}
}

func expectAnyCode(t *testing.T, err error, codes ...token.Code) {
	t.Helper()
	refusal := (*token.Error)(nil)
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want one of %s", err, codes)
	}
	for _, code := range codes {
		if refusal.Code == code {
			return
		}
	}
	t.Fatalf("got %v, want one of %s", err, codes)
}
