package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// provocation is a request that must be answered with one code.
type provocation struct {
	code api.Code
	name string
	// prepare may replace parts of the service.
	prepare func(*service, *server.Config)
	do      func(*service) answer
	// unrecorded says that no record is left: the signature was not verified.
	unrecorded bool
}

var errDown = errors.New("connection refused")

// provocations has at least one row for every code of the protocol.
var provocations = []provocation{
	{code: api.CodeMalformedRequest, name: "not JSON", unrecorded: true, do: func(s *service) answer { return s.post([]byte("{")) }},
	{code: api.CodeMalformedRequest, name: "no token", unrecorded: true, do: func(s *service) answer { return s.post([]byte("{}")) }},
	{code: api.CodeUnsupportedKey, name: "DSA key", do: func(s *service) answer {
		r := s.bitbucketRequest()
		r.Credentials[0].PublicKey = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIEX/dQ0v4127bEo8eeG1EV0ApO2lWbSnN6RWusn/NjqIAAAABHNzaDo="
		return s.join(r)
	}},

	{code: api.CodeIDTokenMalformed, name: "two segments", unrecorded: true, do: func(s *service) answer {
		return s.join(s.request("example-bot", "aaaa.bbbb"))
	}},
	{code: api.CodeIDTokenExpired, name: "expired an hour ago", unrecorded: true, do: func(s *service) answer {
		token := s.bitbucket(issuertest.BitbucketJob{})
		s.clock.advance(2 * time.Hour)
		return s.join(s.request("example-bot", token))
	}},
	{code: api.CodeIDTokenNotYetValid, name: "issued in an hour", unrecorded: true, do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("nbf", noon.Add(time.Hour).Unix()))))
	}},
	{code: api.CodeIDTokenTooOld, name: "valid for a day and two hours old", do: func(s *service) answer {
		token := s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("exp", noon.Add(24*time.Hour).Unix()))
		s.clock.advance(2 * time.Hour)
		return s.join(s.request("example-bot", token))
	}},
	{code: api.CodeIDTokenWrongIssuer, name: "another organization's job", do: func(s *service) answer {
		return s.join(s.request("circle-bot", s.circleci(issuertest.CircleCIJob{},
			issuertest.WithClaim("oidc.circleci.com/org-id", "00000000-0000-0000-0000-00000000000f"))))
	}},
	{code: api.CodeIDTokenWrongAudience, name: "another audience", do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{Audience: []string{"https://aws.example.com"}})))
	}},
	{code: api.CodeIDTokenNotBound, name: "good for any request, where the rule wants one", do: func(s *service) answer {
		s.apply(strings.Replace(circleRule(""), "spec:\n", "spec:\n  bind: required\n", 1))
		return s.join(s.request("circle-bot", s.circleci(issuertest.CircleCIJob{})))
	}},
	{code: api.CodeIDTokenWrongRequest, name: "bound to another request", do: func(s *service) answer {
		return s.join(s.request("circle-bot", s.bound(s.request("circle-bot", ""), issuertest.CircleCIJob{}).IDToken))
	}},
	{code: api.CodeIDTokenBadSignature, name: "another token's signature", unrecorded: true, do: func(s *service) answer {
		a, b := s.bitbucket(issuertest.BitbucketJob{}), s.bitbucket(issuertest.BitbucketJob{})
		forged := a[:strings.LastIndex(a, ".")] + b[strings.LastIndex(b, "."):]
		return s.join(s.request("example-bot", forged))
	}},
	{code: api.CodeIDTokenUnsupportedAlgorithm, name: "alg none", unrecorded: true, do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithHeader("alg", "none"))))
	}},
	{code: api.CodeIDTokenUnknownKey, name: "kid of nobody, key set pinned", unrecorded: true, do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithHeader("kid", "nobody"))))
	}},
	{code: api.CodeIDTokenMissingClaim, name: "no stepUuid", do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithoutClaim("stepUuid"))))
	}},

	{code: api.CodeTokenNotFound, name: "unknown token rule", unrecorded: true, do: func(s *service) answer {
		return s.join(s.request("nobody", s.bitbucket(issuertest.BitbucketJob{})))
	}},
	{code: api.CodeTokenNotFound, name: "expired token rule", unrecorded: true, do: func(s *service) answer {
		s.apply(strings.Replace(tokenRule("example-bot", ""), "{name: example-bot}", `{name: example-bot, expires: "2026-01-15T11:59:59Z"}`, 1))
		return s.join(s.bitbucketRequest())
	}},
	{code: api.CodeTokenNotFound, name: "the rule is for the other CI", unrecorded: true, do: func(s *service) answer {
		r := s.bitbucketRequest()
		r.JoinMethod = api.MethodCircleCI
		return s.join(r)
	}},
	{code: api.CodeTokenNotFound, name: "another workspace's issuer", unrecorded: true, do: func(s *service) answer {
		iss := strings.Replace(s.issuer.BitbucketURL(), "/acme/", "/evil/", 1)
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("iss", iss))))
	}},
	{code: api.CodeNoRuleMatched, name: "another branch", do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "feature/x"})))
	}},
	{code: api.CodeDeniedByRule, name: "a branch that is denied", do: func(s *service) answer {
		return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "legacy"})))
	}},
	{code: api.CodeSSHRerunRefused, name: "a person re-ran the job", do: func(s *service) answer {
		return s.join(s.request("circle-bot", s.circleci(issuertest.CircleCIJob{SSHRerun: true})))
	}},
	{code: api.CodeLocked, name: "the bot is locked", do: func(s *service) answer {
		s.apply("kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {bot: example}, message: incident 42}")
		return s.join(s.bitbucketRequest())
	}},
	{code: api.CodeNotPermitted, name: "a database user that no role grants", do: func(s *service) answer {
		r := s.bitbucketRequest()
		r.Credentials = []api.CredentialRequest{{Name: "db", Type: api.TypeX509, Usage: api.UsageDatabase, DBUser: "postgres", CSR: csr(s.t, newKey(s.t))}}
		return s.join(r)
	}},
	{code: api.CodeNotPermitted, name: "an authority that this service lacks",
		prepare: func(s *service, _ *server.Config) { s.config.Authorities = without{s.config.Authorities, cert.JWT} },
		do: func(s *service) answer {
			r := s.bitbucketRequest()
			r.Credentials = []api.CredentialRequest{{Name: "vault", Type: api.TypeJWT, Audience: "https://vault.example.com"}}
			return s.join(r)
		}},

	{code: api.CodeNotFound, name: "another path", unrecorded: true, do: func(s *service) answer { return s.do(http.MethodGet, "/v1/joins", nil) }},
	{code: api.CodeNotFound, name: "a trailing slash", unrecorded: true, do: func(s *service) answer { return s.do(http.MethodPost, "/v1/join/", nil) }},
	{code: api.CodeMethodNotAllowed, name: "GET of a join", unrecorded: true, do: func(s *service) answer { return s.do(http.MethodGet, api.PathJoin, nil) }},
	{code: api.CodeBodyTooLarge, name: "one byte over", unrecorded: true, do: func(s *service) answer {
		return s.post([]byte(strings.Repeat(" ", api.MaxRequestBytes+1)))
	}},
	{code: api.CodeUnsupportedMediaType, name: "a form", unrecorded: true, do: func(s *service) answer {
		return s.post([]byte("{}"), "Content-Type", "application/x-www-form-urlencoded")
	}},
	{code: api.CodeUnsupportedMediaType, name: "compressed", unrecorded: true, do: func(s *service) answer {
		return s.post([]byte("{}"), "Content-Encoding", "gzip")
	}},

	{code: api.CodeIDTokenAlreadyUsed, name: "a second join with other keys", do: func(s *service) answer {
		token := s.bitbucket(issuertest.BitbucketJob{})
		s.granted(s.request("example-bot", token))
		return s.join(s.request("example-bot", token))
	}},
	{code: api.CodeRateLimited, name: "too many requests", unrecorded: true,
		prepare: func(_ *service, c *server.Config) {
			c.Limit = func(netip.Addr) (bool, time.Duration) { return false, 7 * time.Second }
		},
		do: func(s *service) answer { return s.join(s.bitbucketRequest()) }},

	{code: api.CodeIssuerKeysUnavailable, name: "no keys were ever fetched and the issuer is down", unrecorded: true,
		prepare: func(s *service, _ *server.Config) {
			s.config.Store = noKeySets{s.config.Store}
			s.config.Refresher = refresherFunc(func(context.Context, string) error { return errDown })
		},
		do: func(s *service) answer { return s.join(s.bitbucketRequest()) }},
	{code: api.CodeStoreUnavailable, name: "rules cannot be read", unrecorded: true,
		prepare: func(s *service, _ *server.Config) { s.config.Store = noRules{s.config.Store} },
		do:      func(s *service) answer { return s.join(s.bitbucketRequest()) }},
	{code: api.CodeStoreUnavailable, name: "the claim cannot be stored",
		prepare: func(s *service, _ *server.Config) { s.config.Store = noUses{s.config.Store} },
		do:      func(s *service) answer { return s.join(s.bitbucketRequest()) }},
	{code: api.CodeStoreUnavailable, name: "the record of a grant cannot be stored", unrecorded: true,
		prepare: func(s *service, _ *server.Config) { s.config.Store = noRecords{s.config.Store} },
		do:      func(s *service) answer { return s.join(s.bitbucketRequest()) }},
	{code: api.CodeStoreUnavailable, name: "the record of a refusal cannot be stored", unrecorded: true,
		prepare: func(s *service, _ *server.Config) { s.config.Store = noRecords{s.config.Store} },
		do: func(s *service) answer {
			return s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "legacy"})))
		}},
	{code: api.CodeSignerUnavailable, name: "the signing key refuses",
		prepare: func(s *service, _ *server.Config) { s.config.Authorities = brokenSigner{s.config.Authorities} },
		do:      func(s *service) answer { return s.join(s.bitbucketRequest()) }},
	{code: api.CodeSignerUnavailable, name: "the authorities cannot be read", unrecorded: true,
		prepare: func(s *service, _ *server.Config) { s.config.Authorities = noAuthorities{} },
		do:      func(s *service) answer { return s.do(http.MethodGet, api.PathAuthorities, nil) }},

	{code: api.CodeInternal, name: "a part panics", unrecorded: true,
		prepare: func(s *service, _ *server.Config) { s.config.Store = panicking{s.config.Store} },
		do:      func(s *service) answer { return s.join(s.bitbucketRequest()) }},
}

func TestEveryCode(t *testing.T) {
	provoked := map[api.Code]bool{}
	for _, p := range provocations {
		provoked[p.code] = true
		t.Run(fmt.Sprintf("%s: %s", p.code, p.name), func(t *testing.T) {
			s := newService(t, func(s *service, c *server.Config) {
				if p.prepare != nil {
					p.prepare(s, c)
				}
			})
			a := p.do(s)
			if a.problem == nil || a.problem.Code != p.code {
				t.Fatalf("answered %d %s", a.status, a.body)
			}
			if a.status != api.Codes()[p.code] {
				t.Errorf("status %d, want %d", a.status, api.Codes()[p.code])
			}
			checkProblem(t, a)
			checkRecorded(t, s, p, a)
			if strings.Contains(s.log.String(), "eyJ") {
				t.Error("the log holds an ID token")
			}
		})
	}
	for code := range api.Codes() {
		if !provoked[code] {
			t.Errorf("no test provokes %s", code)
		}
	}
}

// checkProblem holds every problem to what the protocol promises.
func checkProblem(t *testing.T, a answer) {
	t.Helper()
	p := a.problem
	if p.Type != api.ProblemType+string(p.Code) || p.Title == "" || p.Detail == "" {
		t.Errorf("incomplete problem: %s", a.body)
	}
	if strings.Contains(a.body, "eyJ") {
		t.Errorf("the answer holds an ID token: %s", a.body)
	}
	retriable := a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests
	if got := a.header.Get("Retry-After") != ""; got != retriable {
		t.Errorf("Retry-After is %q at %d", a.header.Get("Retry-After"), a.status)
	}
	if ct := a.header.Get("X-Content-Type-Options"); ct != "nosniff" {
		t.Errorf("X-Content-Type-Options is %q", ct)
	}
	if cc := a.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control is %q", cc)
	}
}

// checkRecorded: a refusal after the signature leaves a record and shows the
// caller its own claims; one before leaves neither.
func checkRecorded(t *testing.T, s *service, p provocation, a answer) {
	t.Helper()
	var refused []store.Record
	for _, r := range s.records() {
		if r.Code != store.CodeOK {
			refused = append(refused, r)
		}
	}
	if p.unrecorded {
		if len(refused) > 0 || a.problem.Presented != nil {
			t.Errorf("recorded %v and presented %v, though no signature was verified", refused, a.problem.Presented)
		}
		return
	}
	if len(refused) != 1 || refused[0].Code != string(p.code) || refused[0].JoinID != a.problem.JoinID || len(refused[0].Credentials) != 0 {
		t.Fatalf("records %+v", refused)
	}
	if len(a.problem.Presented) == 0 {
		t.Error("the caller is not shown its own claims")
	}
}

func TestErrorsPageHasEveryCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	must(t, err)
	for code, status := range api.Codes() {
		if !strings.Contains(string(page), fmt.Sprintf("### %s\n%d. ", code, status)) {
			t.Errorf("docs/errors.md has no section on %s with its status %d", code, status)
		}
	}
}

// tokenRule is the Bitbucket rule of exampleRules under another name, with lines added to its spec.
func tokenRule(name, lines string) string {
	for doc := range strings.SplitSeq(exampleRules, "---\n") {
		if strings.Contains(doc, "example-bot") {
			return strings.Replace(strings.Replace(doc, "example-bot", name, 1), "  bot_name: example\n", "  bot_name: example\n"+lines, 1)
		}
	}
	panic("no such rule")
}
