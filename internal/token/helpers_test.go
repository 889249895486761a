package token_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/token"
	"github.com/gatepass-ci/gatepass/pkg/provider"
)

const audience = "https://join.example.com"

// now is the time of all tests that do not test times; tokens are minted then.
func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// world is an issuer and its keys.
type world struct {
	*issuertest.Issuer
	keys *token.KeySet
}

// Keys cost time, so all tests share an issuer for each algorithm. None changes it.
var (
	rsaWorld = sync.OnceValue(func() world { return newWorld(issuertest.RS256) })
	ecWorld  = sync.OnceValue(func() world { return newWorld(issuertest.ES256) })
)

func newWorld(alg string) world {
	i, err := issuertest.New(issuertest.Config{Offline: true, Algorithm: alg, Now: now})
	if err != nil {
		panic(err)
	}
	w := world{Issuer: i}
	w.keys, err = parsePublished(i)
	if err != nil {
		panic(err)
	}
	return w
}

func parsePublished(i *issuertest.Issuer) (*token.KeySet, error) {
	jwks, err := i.JWKS()
	if err != nil {
		return nil, err
	}
	return token.ParseKeySet(jwks)
}

func (w world) bitbucket() token.Expect {
	return token.Expect{Method: "bitbucket", Issuer: w.BitbucketURL(), Audience: audience, MaxAge: time.Hour}
}

func (w world) circleCI() token.Expect {
	return token.Expect{Method: "circleci", Issuer: w.CircleCIURL(), Audience: audience, MaxAge: time.Hour, Section: circleSection(issuertest.OrganizationID)}
}

// circleSection is of an organization, with what more a test sets.
func circleSection(organization string, more ...provider.Named) provider.Section {
	return provider.Section{Settings: append(provider.Values{{Name: "organization_id", Value: organization}}, more...)}
}

// mintBitbucket mints the honest token that each hostile one differs from by its options.
func (w world) mintBitbucket(t testing.TB, options ...issuertest.Option) string {
	t.Helper()
	raw, err := w.Bitbucket(issuertest.BitbucketJob{Audience: []string{audience}}, options...)
	return must(t, raw, err)
}

func (w world) mintCircleCI(t testing.TB, options ...issuertest.Option) string {
	t.Helper()
	raw, err := w.CircleCI(issuertest.CircleCIJob{Audience: []string{audience}}, options...)
	return must(t, raw, err)
}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verify takes a token through all five steps.
func verify(raw string, keys *token.KeySet, e token.Expect, now time.Time) (*token.Verified, error) {
	p, err := token.Parse(raw)
	if err != nil {
		return nil, err
	}
	if err := p.Precheck(now); err != nil {
		return nil, err
	}
	v, err := p.VerifySignature(keys, e.Method)
	if err != nil {
		return nil, err
	}
	return v, v.Check(e, now)
}

// accept stands in tables for no refusal.
const accept token.Code = "accepted"

func codeOf(t testing.TB, err error) token.Code {
	t.Helper()
	if err == nil {
		return accept
	}
	refusal := (*token.Error)(nil)
	if !errors.As(err, &refusal) {
		t.Fatalf("refused without a code: %v", err)
	}
	return refusal.Code
}

// expectCode also holds every refusal to what may be told: no values of the
// rule, no token, one short line.
func expectCode(t testing.TB, err error, want token.Code, e token.Expect, raw string) {
	t.Helper()
	if got := codeOf(t, err); got != want {
		t.Errorf("got %s, want %s (%v)", got, want, err)
	}
	refusal := (*token.Error)(nil)
	if !errors.As(err, &refusal) {
		return
	}
	for what, secret := range map[string]string{"rule's issuer": e.Issuer, "rule's organization": e.Section.Get("organization_id"), "token": raw} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the %s: %v", what, err)
		}
	}
	if d := refusal.Detail; d == "" || len(d) > 600 || strings.ContainsAny(d, "\r\n") {
		t.Errorf("detail is not one short line: %q", d)
	}
}
