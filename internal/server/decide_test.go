package server_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

func TestLocks(t *testing.T) {
	for _, c := range []struct {
		name, target string
		code         api.Code // empty if the join is granted
	}{
		{"the bot", "{bot: example}", api.CodeLocked},
		{"the token rule", "{token: example-bot}", api.CodeLocked},
		{"a role of the bot", "{role: deployer}", api.CodeLocked},
		{"everything", "{all: true}", api.CodeLocked},
		{"another bot", "{bot: other}", ""},
		{"another token rule", "{token: circle-bot}", ""},
		{"another role", "{role: auditor}", ""},
		{"everything, until a second ago", `{all: true}, expires: "2026-01-15T11:59:59Z"`, ""},
		{"everything, until in a second", `{all: true}, expires: "2026-01-15T12:00:01Z"`, api.CodeLocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			s.apply("kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {message: incident 42, target: " + c.target + "}")
			a := s.join(s.bitbucketRequest())
			if c.code == "" {
				if a.granted == nil {
					t.Errorf("refused: %s", a.body)
				}
				return
			}
			if a.problem == nil || a.problem.Code != c.code || !strings.Contains(a.problem.Detail, "incident 42") {
				t.Fatalf("answered %s", a.body)
			}
			if r := s.record(a.problem.JoinID); r.Lock != "stop" {
				t.Errorf("the record names the lock %q", r.Lock)
			}
			s.remove(rules.KindLock, "stop")
			s.granted(s.bitbucketRequest())
		})
	}
}

// What a refused caller is told, and what only the record tells.
func TestNoRuleMatchedTellsWhy(t *testing.T) {
	s := newService(t)
	a := s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "feature/x"})))
	p := a.problem
	if !slices.Equal(p.UnmatchedFields, []string{"branch_name"}) || !slices.Equal(p.Presented["branch_name"], []string{"feature/x"}) {
		t.Errorf("told %s", a.body)
	}
	if strings.Contains(a.body, `"main"`) {
		t.Errorf("the answer tells the rule's value: %s", a.body)
	}
	want := store.FieldMismatch{Field: "branch_name", Want: "main", Got: []string{"feature/x"}}
	r := s.record(p.JoinID)
	if len(r.Mismatches) != 1 || len(r.Mismatches[0].Fields) != 1 {
		t.Fatalf("recorded %+v", r.Mismatches)
	}
	got := r.Mismatches[0].Fields[0]
	if got.Field != want.Field || got.Want != want.Want || !slices.Equal(got.Got, want.Got) {
		t.Errorf("recorded %+v, want %+v", got, want)
	}
	if r.Claims["branchName"] != "feature/x" || r.Rule != nil {
		t.Errorf("recorded %+v", r)
	}
}

func TestForkBuilds(t *testing.T) {
	fork := issuertest.CircleCIJob{VCSOrigin: "github.com/mallory/shop", VCSRef: "refs/heads/pull/7"}
	open := func(lines string) string {
		return `
kind: token
version: v2
metadata: {name: open}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
` + lines + `    allow: [{project_id: 00000000-0000-0000-0000-000000000003}]
`
	}
	for _, c := range []struct {
		name, rules, token string
		job                issuertest.CircleCIJob
		granted            bool
	}{
		{"a rule that names the origin refuses another's", "", "circle-bot", fork, false},
		{"a rule without an origin refuses pull requests", open(""), "open", fork, false},
		{"a rule without an origin lets branches in", open(""), "open", issuertest.CircleCIJob{}, true},
		{"allow_forks lets pull requests in", open("    allow_forks: true\n"), "open", fork, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			if c.rules != "" {
				s.apply(c.rules)
			}
			a := s.join(s.request(c.token, s.circleci(c.job)))
			if (a.granted != nil) != c.granted {
				t.Errorf("answered %s", a.body)
			}
			if !c.granted && a.problem.Code != api.CodeNoRuleMatched {
				t.Errorf("refused with %s", a.problem.Code)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	role := func(options string) string {
		return "kind: role\nversion: v7\nmetadata: {name: deployer}\nspec:\n  allow: {logins: [deploy]}\n  options: {" + options + "}"
	}
	bot := "kind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: [deployer], max_session_ttl: 5m}"
	for _, c := range []struct {
		name, rules string
		asked       int64 // 0 asks for nothing
		maxTTL      time.Duration
		seconds     int64
		limitedBy   string
	}{
		{name: "the default", seconds: 900},
		{name: "what is asked", asked: 3600, seconds: 3600},
		{name: "the role's limit", rules: role("max_session_ttl: 30m"), asked: 3600, seconds: 1800, limitedBy: "role:deployer"},
		{name: "the bot's limit", rules: bot, asked: 3600, seconds: 300, limitedBy: "bot"},
		{name: "the bot's limit on the default", rules: bot, seconds: 300, limitedBy: "bot"},
		{name: "the server's limit", asked: 24 * 3600, seconds: 12 * 3600, limitedBy: "server"},
		{name: "a lower limit of the server", asked: 3600, maxTTL: 10 * time.Minute, seconds: 600, limitedBy: "server"},
		{name: "far too much", asked: 1 << 62, seconds: 12 * 3600, limitedBy: "server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t, func(s *service, _ *server.Config) { s.config.MaxTTL = c.maxTTL })
			if c.rules != "" {
				s.apply(c.rules)
			}
			r := s.bitbucketRequest()
			if c.asked > 0 {
				r.TTLSeconds = &c.asked
			}
			got := s.granted(r)
			if got.TTLSeconds != c.seconds || got.TTLLimitedBy != c.limitedBy || !got.ExpiresAt.Equal(noon.Add(time.Duration(c.seconds)*time.Second)) {
				t.Errorf("granted %d s, limited by %q, until %s", got.TTLSeconds, got.TTLLimitedBy, got.ExpiresAt)
			}
			for _, name := range []string{"tls"} {
				if leaf := parseCert(t, credential(t, got, name).Certificate); !leaf.NotAfter.Equal(got.ExpiresAt) || !leaf.NotBefore.Equal(noon.Add(-time.Minute)) {
					t.Errorf("the certificate is valid from %s to %s", leaf.NotBefore, leaf.NotAfter)
				}
			}
		})
	}
}

// What a role's options put into an SSH certificate.
func TestSSHOptions(t *testing.T) {
	s := newService(t)
	s.apply(`
kind: role
version: v7
metadata: {name: deployer}
spec:
  allow: {logins: [deploy]}
  options:
    permit_pty: true
    port_forwarding: true
    pin_source_ip: true
    force_command: /usr/bin/deploy
    cert_extensions: [{type: ssh, mode: extension, name: login@github.com, value: octo-bot}]
`)
	resp := s.granted(s.bitbucketRequest())
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(credential(t, resp, "ssh").Certificate))
	must(t, err)
	c := pub.(*ssh.Certificate)
	if want := map[string]string{"permit-pty": "", "permit-port-forwarding": "", "login@github.com": "octo-bot"}; !maps.Equal(c.Extensions, want) {
		t.Errorf("extensions %v", c.Extensions)
	}
	if want := map[string]string{"source-address": "127.0.0.1/32", "force-command": "/usr/bin/deploy"}; !maps.Equal(c.CriticalOptions, want) {
		t.Errorf("critical options %v", c.CriticalOptions)
	}
}

// All or nothing: one credential that may not be granted refuses the join, is
// named, and leaves the ID token unused.
func TestAllOrNothing(t *testing.T) {
	s := newService(t)
	token := s.bitbucket(issuertest.BitbucketJob{})
	r := s.everything("example-bot", token)
	r.Credentials[3].App = "prometheus"
	a := s.join(r)
	if a.problem == nil || a.problem.Code != api.CodeNotPermitted || !strings.Contains(a.problem.Detail, `"app"`) || !strings.Contains(a.problem.Detail, "prometheus") {
		t.Fatalf("answered %s", a.body)
	}
	r.Credentials[3].App = "grafana"
	s.granted(r)
}

// A bot whose rules name what does not exist is told to the caller, and recorded.
func TestDanglingNames(t *testing.T) {
	for kind, name := range map[rules.Kind]string{rules.KindBot: "example", rules.KindRole: "deployer"} {
		t.Run(string(kind), func(t *testing.T) {
			s := newService(t)
			s.remove(kind, name)
			a := s.join(s.bitbucketRequest())
			if a.problem == nil || a.problem.Code != api.CodeNotPermitted {
				t.Fatalf("answered %s", a.body)
			}
			if r := s.record(a.problem.JoinID); r.Code != string(api.CodeNotPermitted) {
				t.Errorf("recorded %+v", r)
			}
		})
	}
	t.Run("a bot without roles has its identity and nothing else", func(t *testing.T) {
		s := newService(t)
		s.apply("kind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: []}")
		token := s.bitbucket(issuertest.BitbucketJob{})
		r := s.request("example-bot", token)
		if a := s.join(r); a.problem == nil || a.problem.Code != api.CodeNotPermitted {
			t.Errorf("answered %s", a.body)
		}
		r.Credentials = r.Credentials[1:]
		s.granted(r)
	})
}
