package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// An ID token in the field token is a likely mistake, and must not reach a log.
// Nor must anything else be written down before its shape was checked.
func TestWhatIsMalformedIsNotLogged(t *testing.T) {
	s := newService(t)
	idToken := s.bitbucket(issuertest.BitbucketJob{})
	r := s.request(idToken, idToken)
	r.Client = &api.ClientInfo{Version: strings.Repeat("v", 10_000)}
	a := s.join(r)
	if a.problem == nil || a.problem.Code != api.CodeMalformedRequest {
		t.Fatalf("answered %s", a.body)
	}
	if log := s.log.String(); strings.Contains(log, "eyJ") || strings.Contains(log, "vvvv") || !strings.Contains(log, "malformed_request") {
		t.Errorf("logged %s", log)
	}
}

// panickingAuthorities panics once the ID token is verified, in the request's own goroutine.
type panickingAuthorities struct{}

func (panickingAuthorities) Prepare(context.Context) {}

func (panickingAuthorities) Authority(context.Context, cert.Purpose) (*authority.Authority, error) {
	panic("a fault of ours")
}

// A panic is a refusal like another: with a join id, a log line, and a record
// once the signature was verified.
func TestAPanicIsRecorded(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) { s.config.Authorities = panickingAuthorities{} })
	a := s.join(s.bitbucketRequest())
	if a.problem == nil || a.problem.Code != api.CodeInternal || a.problem.JoinID == "" {
		t.Fatalf("answered %s", a.body)
	}
	if r := s.record(a.problem.JoinID); r.Code != string(api.CodeInternal) {
		t.Errorf("recorded %+v", r)
	}
	if log := s.log.String(); !strings.Contains(log, "a fault of ours") || strings.Contains(a.body, "fault of ours") {
		t.Errorf("told %s, logged %s", a.body, log)
	}
}

// panickingRecords panics as it stores a record.
type panickingRecords struct{ join.Store }

func (panickingRecords) Record(context.Context, store.Record, time.Time) error {
	panic("a fault of ours")
}

// A panic as a refusal is recorded has a code, a join id and a line in the log.
func TestAPanicOfTheRecordOfARefusalIsLogged(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) { s.config.Store = panickingRecords{s.config.Store} })
	a := s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "legacy"})))
	if a.problem == nil || a.problem.Code != api.CodeStoreUnavailable || a.problem.JoinID == "" {
		t.Fatalf("answered %s", a.body)
	}
	if log := s.log.String(); !strings.Contains(log, a.problem.JoinID) || !strings.Contains(log, "denied_by_rule") || strings.Contains(a.body, "fault of ours") {
		t.Errorf("told %s, logged %s", a.body, log)
	}
}

// A job that no rule lets in learns nothing of the bot, not even that it is missing.
func TestAMissingBotIsToldOnlyToJobsThatMayJoin(t *testing.T) {
	s := newService(t)
	s.remove(rules.KindBot, "example")
	for branch, code := range map[string]api.Code{"feature/x": api.CodeNoRuleMatched, "legacy": api.CodeDeniedByRule, "main": api.CodeNotPermitted} {
		a := s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: branch})))
		if a.problem == nil || a.problem.Code != code {
			t.Errorf("%s: answered %s", branch, a.body)
		}
	}
	s.apply("kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {bot: example}}")
	if a := s.join(s.bitbucketRequest()); a.problem == nil || a.problem.Code != api.CodeLocked {
		t.Errorf("answered %s", a.body)
	}
}

// An empty list of roles is no wish for all of them: whoever worked one out may
// have come to none.
func TestAnEmptyListOfRolesIsRefused(t *testing.T) {
	s := newService(t)
	body, err := json.Marshal(s.bitbucketRequest())
	must(t, err)
	with := strings.Replace(string(body), `"type":"ssh"`, `"type":"ssh","roles":[]`, 1)
	a := s.post([]byte(with))
	if a.problem == nil || a.problem.Code != api.CodeMalformedRequest || !strings.Contains(a.problem.Detail, "credentials[0].roles") {
		t.Errorf("answered %s", a.body)
	}
}

// swapped gives the authority of another purpose.
type swapped struct {
	authority.Authorities
	asked, given cert.Purpose
}

func (s swapped) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	if p == s.asked {
		p = s.given
	}
	return s.Authorities.Authority(ctx, p)
}

// One key, one purpose: a user's certificate signed by the host authority would
// be believed by whoever trusts that.
func TestAnAuthorityOfAnotherPurposeSignsNothing(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) {
		s.config.Authorities = swapped{s.config.Authorities, cert.SSHUser, cert.SSHHost}
	})
	if a := s.join(s.bitbucketRequest()); a.problem == nil || a.problem.Code != api.CodeSignerUnavailable {
		t.Errorf("answered %s", a.body)
	}
}

// Hundreds of rules that do not match must still leave a record that a store
// takes (a DynamoDB item has at most 400 KB) and a log line that is readable.
func TestARecordOfManyMismatchesIsBounded(t *testing.T) {
	s := newService(t)
	var allow strings.Builder
	for i := range 500 {
		fmt.Fprintf(&allow, "      - {workspace_uuid: \"{922e118c-f34f-4226-a897-0e0afbec553d}\", branch_name: %s-%d}\n", strings.Repeat("x", 300), i)
	}
	rule := tokenRule("example-bot", "")
	s.apply(rule[:strings.Index(rule, "      - workspace_uuid")] + allow.String())
	a := s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: strings.Repeat("b", 4000)})))
	if a.problem == nil || a.problem.Code != api.CodeNoRuleMatched {
		t.Fatalf("answered %s", a.body)
	}
	r := s.record(a.problem.JoinID)
	encoded, err := json.Marshal(r)
	must(t, err)
	if len(encoded) > 128<<10 {
		t.Errorf("the record has %d bytes", len(encoded))
	}
	if len(r.Mismatches) == 0 || len(r.Mismatches)+r.MismatchesLeftOut != 500 {
		t.Errorf("recorded %d mismatches and %d left out", len(r.Mismatches), r.MismatchesLeftOut)
	}
}

// The zone of an address is any text its sender likes.
func TestForwardedZonesAreDropped(t *testing.T) {
	s := newService(t, func(_ *service, c *server.Config) {
		c.SourceAddr = server.SourceAddr([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	})
	body, err := json.Marshal(s.bitbucketRequest())
	must(t, err)
	a := s.post(body, "X-Forwarded-For", "fe80::1%"+strings.Repeat("z", 5000))
	if a.granted == nil {
		t.Fatalf("refused: %s", a.body)
	}
	if got := s.record(a.granted.JoinID).SourceAddr; got != "fe80::1" {
		t.Errorf("recorded the address %.60q", got)
	}
}

// Whoever is refused by the limit is always told when to come back.
func TestRetryAfterIsAtLeastASecond(t *testing.T) {
	s := newService(t, func(_ *service, c *server.Config) {
		c.Limit = func(netip.Addr) (bool, time.Duration) { return false, -time.Millisecond }
	})
	if a := s.join(s.bitbucketRequest()); a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}
