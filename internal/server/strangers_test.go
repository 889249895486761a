package server_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// unsigned is an ID token that anybody can write: its signature is nobody's.
func (s *service) unsigned(options ...issuertest.Option) string {
	s.t.Helper()
	token := s.bitbucket(issuertest.BitbucketJob{}, options...)
	return token[:strings.LastIndex(token, ".")+1] + strings.Repeat("A", 342)
}

var joinIDs = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`)

// A stranger that tries names, issuers, methods and audiences gets one answer, byte for
// byte: whatever is wrong, and whatever else is right.
func TestStrangersLearnNothing(t *testing.T) {
	s := newService(t)
	s.apply(strings.Replace(strings.Replace(tokenRule("example-bot", ""), "{name: example-bot}", `{name: ended-bot, expires: "2026-01-15T11:59:59Z"}`, 1),
		"/acme/", "/evil/", 1))
	s.apply(strings.Replace(tokenRule("example-bot", ""), "{name: example-bot}", `{name: ended-acme, expires: "2026-01-15T11:59:59Z"}`, 1))
	evil := strings.Replace(s.issuer.BitbucketURL(), "/acme/", "/evil/", 1)
	const audience = "ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d"
	iss := func(iss string) issuertest.Option { return issuertest.WithClaim("iss", iss) }
	for _, group := range []struct {
		issuer string
		asks   map[string]*api.JoinRequest
	}{
		{evil, map[string]*api.JoinRequest{
			"an unknown rule":                         s.request("nobody", s.unsigned(iss(evil))),
			"a rule of another issuer":                s.request("example-bot", s.unsigned(iss(evil))),
			"a rule of another CI":                    s.request("circle-bot", s.unsigned(iss(evil))),
			"an expired rule of this issuer":          s.request("ended-bot", s.unsigned(iss(evil))),
			"another issuer and the audience right":   s.request("example-bot", s.unsigned(iss(evil), issuertest.WithClaim("aud", audience))),
			"another issuer and the audience wrong":   s.request("example-bot", s.unsigned(iss(evil), issuertest.WithClaim("aud", "x"))),
			"another issuer and no audience":          s.request("example-bot", s.unsigned(iss(evil), issuertest.WithoutClaim("aud"))),
			"another issuer and azp of another party": s.request("example-bot", s.unsigned(iss(evil), issuertest.WithClaim("azp", "x"))),
			"another issuer and a kid of nobody":      s.request("example-bot", s.unsigned(iss(evil), issuertest.WithHeader("kid", "nobody"))),
			"an unknown rule and a kid of nobody":     s.request("nobody", s.unsigned(iss(evil), issuertest.WithHeader("kid", "nobody"))),
		}},
		{s.issuer.BitbucketURL(), map[string]*api.JoinRequest{
			"an unknown rule":                s.request("nobody", s.unsigned()),
			"an expired rule of this issuer": s.request("ended-acme", s.unsigned()),
			"an expired rule of another":     s.request("ended-bot", s.unsigned()),
			"another method":                 method(s.request("example-bot", s.unsigned()), api.MethodCircleCI),
			"an unknown rule and a method":   method(s.request("nobody", s.unsigned()), api.MethodCircleCI),
		}},
	} {
		for name, ask := range group.asks {
			a := s.join(ask)
			want := fmt.Sprintf(`no token rule \"%s\" takes ID tokens of \"%s\"; `, ask.Token, group.issuer)
			if a.problem == nil || a.problem.Code != api.CodeTokenNotFound || !strings.Contains(a.body, want) {
				t.Errorf("%s: answered %s, want %s", name, a.body, want)
				continue
			}
			nobody := method(s.request("nobody", ask.IDToken), ask.JoinMethod)
			other := s.join(nobody)
			same := func(a answer, rule string) string {
				return joinIDs.ReplaceAllString(strings.ReplaceAll(a.body, `\"`+rule+`\"`, "RULE"), "ID")
			}
			if x, y := same(a, ask.Token), same(other, "nobody"); x != y {
				t.Errorf("%s: differs from an unknown rule:\n%s\n%s", name, x, y)
			}
		}
	}
	if n := len(s.records()); n != 0 {
		t.Errorf("strangers left %d records", n)
	}
	for _, reason := range []string{"does not exist", "has expired", "another join method", "another issuer"} {
		if !strings.Contains(s.log.String(), reason) {
			t.Errorf("no line in the log says that the token rule %s", reason)
		}
	}
}

func method(r *api.JoinRequest, method string) *api.JoinRequest {
	r.JoinMethod = method
	return r
}

// Whoever has no signed ID token of the rule's issuer is told nothing of what else the
// rule demands: the answer is the same whether it would be right or wrong.
func TestWhatARuleDemandsIsJudgedAfterTheSignature(t *testing.T) {
	s := newService(t)
	s.apply(tokenRule("example-bot", "  max_token_age: 10m\n"))
	for name, options := range map[string][]issuertest.Option{
		"everything right":    nil,
		"another audience":    {issuertest.WithClaim("aud", "https://aws.example.com")},
		"no audience":         {issuertest.WithoutClaim("aud")},
		"another party":       {issuertest.WithClaim("azp", "x")},
		"too old":             {issuertest.WithClaim("iat", noon.Add(-time.Hour).Unix())},
		"a branch to deny":    {issuertest.WithClaim("branchName", "legacy")},
		"no job":              {issuertest.WithoutClaim("stepUuid")},
		"nobody's repository": {issuertest.WithClaim("repositoryUuid", "x")},
	} {
		if a := s.join(s.request("example-bot", s.unsigned(options...))); a.problem == nil || a.problem.Code != api.CodeIDTokenBadSignature {
			t.Errorf("%s: answered %s", name, a.body)
		}
	}
	if n := len(s.records()); n != 0 {
		t.Errorf("%d records", n)
	}
}

// Each of the four makes the same reads, so that none takes longer: one of the rule.
func TestStrangersCostTheSameReads(t *testing.T) {
	var reads []string
	s := newService(t, func(s *service, _ *server.Config) {
		s.config.Store = countingStore{s.store, &reads}
	})
	s.apply(strings.Replace(tokenRule("example-bot", ""), "{name: example-bot}", `{name: ended-bot, expires: "2026-01-15T11:59:59Z"}`, 1))
	evil := issuertest.WithClaim("iss", "https://evil.example.com")
	for name, ask := range map[string]*api.JoinRequest{
		"unknown":        s.request("nobody", s.unsigned()),
		"expired":        s.request("ended-bot", s.unsigned()),
		"another method": method(s.request("example-bot", s.unsigned()), api.MethodCircleCI),
		"another issuer": s.request("example-bot", s.unsigned(evil)),
	} {
		reads = nil
		s.join(ask)
		if want := []string{"token/" + ask.Token}; fmt.Sprint(reads) != fmt.Sprint(want) {
			t.Errorf("%s: read %v, want %v", name, reads, want)
		}
	}
}

// countingStore notes what is read. One join at a time.
type countingStore struct {
	store.Store
	reads *[]string
}

func (c countingStore) Get(ctx context.Context, kind rules.Kind, name string) (store.Stored, error) {
	*c.reads = append(*c.reads, fmt.Sprintf("%s/%s", kind, name))
	return c.Store.Get(ctx, kind, name)
}

func (c countingStore) List(ctx context.Context, kind rules.Kind) ([]store.Stored, error) {
	*c.reads = append(*c.reads, string(kind))
	return c.Store.List(ctx, kind)
}

func (c countingStore) KeySet(ctx context.Context, issuer string) (store.KeySet, error) {
	*c.reads = append(*c.reads, issuer)
	return c.Store.KeySet(ctx, issuer)
}

// What an administrator stops while a join waits for its issuer's keys stops that join.
func TestStoppedWhileAJoinWaitsForAnIssuer(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*service)
		code api.Code
	}{
		{"nothing is stopped", func(*service) {}, ""},
		{"a lock", func(s *service) {
			s.apply("kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {bot: example}}")
		}, api.CodeLocked},
		{"the token rule is removed", func(s *service) { s.remove(rules.KindToken, "example-bot") }, api.CodeTokenNotFound},
		{"the token rule expires", func(s *service) {
			s.apply(strings.Replace(tokenRule("example-bot", ""), "{name: example-bot}", `{name: example-bot, expires: "2026-01-15T11:59:59Z"}`, 1))
		}, api.CodeTokenNotFound},
		{"the token rule gets another issuer", func(s *service) {
			s.apply(strings.ReplaceAll(tokenRule("example-bot", ""), "/acme/", "/other/"))
		}, api.CodeTokenNotFound},
		{"the token rule gets another audience", func(s *service) {
			s.apply(strings.ReplaceAll(tokenRule("example-bot", ""), "audience: ari", "audience: other"))
		}, api.CodeIDTokenWrongAudience},
		{"a deny rule", func(s *service) {
			s.apply(strings.Replace(tokenRule("example-bot", ""), "branch_name: legacy", "branch_name: main", 1))
		}, api.CodeDeniedByRule},
		{"the bot loses its role", func(s *service) {
			s.apply("kind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: []}")
		}, api.CodeNotPermitted},
		{"the bot gets a role that is locked", func(s *service) {
			s.apply("kind: role\nversion: v7\nmetadata: {name: new}\nspec: {}\n---\nkind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: [deployer, new]}\n---\n" +
				"kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {role: new}}")
		}, api.CodeLocked},
		{"the role loses its logins", func(s *service) {
			s.apply("kind: role\nversion: v7\nmetadata: {name: deployer}\nspec: {allow: {db_users: [app]}}")
		}, api.CodeNotPermitted},
	} {
		for _, local := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, local %t", c.name, local), func(t *testing.T) {
				var waits int
				s := newService(t, func(s *service, _ *server.Config) {
					s.config.Local = local
					s.config.Refresher = refresherFunc(func(ctx context.Context, issuer string) error {
						waits++
						c.do(s)
						keys, err := s.issuer.JWKS()
						must(t, err)
						return s.store.PutKeySet(ctx, store.KeySet{Issuer: issuer, JWKS: keys, FetchedAt: s.clock.Now(), TriedAt: s.clock.Now()})
					})
				})
				must(t, s.store.Unpin(t.Context(), s.issuer.BitbucketURL()))
				s.clock.advance(25 * time.Hour) // the stored keys are too old now
				now := s.clock.Now().Unix()
				token := s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("iat", now), issuertest.WithClaim("nbf", now), issuertest.WithClaim("exp", now+3600))
				a := s.join(s.request("example-bot", token))
				if waits != 1 {
					t.Fatalf("the issuer was asked %d times: %s", waits, a.body)
				}
				if c.code == "" && a.granted == nil || c.code != "" && (a.problem == nil || a.problem.Code != c.code) {
					t.Errorf("answered %s, want %q", a.body, c.code)
				}
			})
		}
	}
}

// A clock that jumps a day ahead and back does not let an ID token join twice.
func TestAClockThatJumpsLetsNoIDTokenJoinAgain(t *testing.T) {
	s := newService(t)
	token := s.bitbucket(issuertest.BitbucketJob{})
	first := s.granted(s.request("example-bot", token))
	s.clock.advance(24 * time.Hour)
	if _, err := s.store.Purge(t.Context(), s.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if a := s.join(s.request("example-bot", token)); a.problem == nil || a.problem.Code != api.CodeIDTokenExpired {
		t.Errorf("a day ahead: answered %s", a.body)
	}
	s.clock.advance(-24 * time.Hour)
	if a := s.join(s.request("example-bot", token)); a.problem == nil || a.problem.Code != api.CodeIDTokenAlreadyUsed {
		t.Errorf("back again: answered %s", a.body)
	}
	if r := s.record(first.JoinID); r.Code != store.CodeOK {
		t.Errorf("recorded %+v", r)
	}
}
