package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/localca"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// circleRule is a rule for CircleCI with lines added to its section.
func circleRule(lines string) string {
	return `
kind: token
version: v2
metadata: {name: circle-bot}
spec:
  roles: [Bot]
  join_method: circleci
  bot_name: example
  circleci:
    organization_id: 00000000-0000-0000-0000-000000000001
` + lines + `    allow: [{context_id: 00000000-0000-0000-0000-000000000002}]
`
}

// What a CircleCI rule demands of the ID token reaches its verification.
func TestCircleCISettings(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		job         issuertest.CircleCIJob
		options     []issuertest.Option
		code        api.Code // empty if the join is granted
	}{
		{name: "an SSH rerun", job: issuertest.CircleCIJob{SSHRerun: true}, code: api.CodeSSHRerunRefused},
		{name: "an SSH rerun that the rule allows", lines: "    allow_ssh_rerun: true\n", job: issuertest.CircleCIJob{SSHRerun: true}},
		{name: "another organization's job", options: []issuertest.Option{issuertest.WithClaim("oidc.circleci.com/org-id", "00000000-0000-0000-0000-00000000000f")},
			code: api.CodeIDTokenWrongIssuer},
		{name: "no organization", options: []issuertest.Option{issuertest.WithoutClaim("oidc.circleci.com/org-id")}},
		{name: "no organization where the issuer may serve several", lines: "    issuer: https://oidc.circleci.com/org/00000000-0000-0000-0000-000000000001\n",
			options: []issuertest.Option{issuertest.WithoutClaim("oidc.circleci.com/org-id")}, code: api.CodeIDTokenMissingClaim},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			s.apply(circleRule(c.lines))
			a := s.join(s.request("circle-bot", s.circleci(c.job, c.options...)))
			if c.code == "" && a.granted == nil || c.code != "" && (a.problem == nil || a.problem.Code != c.code) {
				t.Errorf("answered %s", a.body)
			}
		})
	}
}

// max_token_age is the rule's own.
func TestMaxTokenAge(t *testing.T) {
	for age, code := range map[string]api.Code{"10m": api.CodeIDTokenTooOld, "20m": ""} {
		s := newService(t)
		s.apply(tokenRule("example-bot", "  max_token_age: "+age+"\n"))
		token := s.bitbucket(issuertest.BitbucketJob{})
		s.clock.advance(15 * time.Minute)
		a := s.join(s.request("example-bot", token))
		if code == "" && a.granted == nil || code != "" && (a.problem == nil || a.problem.Code != code) {
			t.Errorf("%s: answered %s", age, a.body)
		}
	}
}

// The record names the deny rule that refused.
func TestTheRecordNamesTheDenyRule(t *testing.T) {
	s := newService(t)
	s.apply(strings.Replace(tokenRule("example-bot", ""), "      - branch_name: legacy", "      - branch_name: other\n      - branch_name: legacy", 1))
	a := s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "legacy"})))
	if a.problem == nil || a.problem.Code != api.CodeDeniedByRule {
		t.Fatalf("answered %s", a.body)
	}
	if r := s.record(a.problem.JoinID); r.Rule == nil || *r.Rule != 1 || len(r.Mismatches) != 0 {
		t.Errorf("recorded %+v", r)
	}
}

// Only the roles that a request is about limit its lifetime.
func TestLifetimeOfChosenRoles(t *testing.T) {
	s := newService(t)
	s.apply(`
kind: role
version: v7
metadata: {name: short}
spec: {allow: {logins: [audit]}, options: {max_session_ttl: 5m}}
---
kind: bot
version: v1
metadata: {name: example}
spec: {roles: [deployer, short]}
`)
	for _, c := range []struct {
		roles   []string
		seconds int64
		logins  []string
	}{
		{nil, 300, []string{"audit", "deploy"}},
		{[]string{"deployer"}, 900, []string{"deploy"}},
		{[]string{"short"}, 300, []string{"audit"}},
	} {
		r := s.bitbucketRequest()
		r.Credentials = r.Credentials[:1]
		r.Credentials[0].Roles = c.roles
		got := s.granted(r)
		if got.TTLSeconds != c.seconds || !slices.Equal(got.Credentials[0].Principals, c.logins) {
			t.Errorf("roles %v: granted %d s for %v", c.roles, got.TTLSeconds, got.Credentials[0].Principals)
		}
	}
}

// An SSH certificate is valid exactly as long as the answer says, from a minute before now.
func TestSSHValidity(t *testing.T) {
	s := newService(t)
	s.clock.advance(999 * time.Millisecond) // certificates know whole seconds only
	got := s.granted(s.bitbucketRequest())
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(credential(t, got, "ssh").Certificate))
	must(t, err)
	c := pub.(*ssh.Certificate)
	if from, until := int64(c.ValidAfter), int64(c.ValidBefore); from != noon.Unix()-60 || until != noon.Unix()+900 || until != got.ExpiresAt.Unix() {
		t.Errorf("valid from %d to %d, the answer says until %s", from-noon.Unix(), until-noon.Unix(), got.ExpiresAt)
	}
}

// The provider's claims are the JWT's own only under gatepass, without those
// that would say something of the ID token and not of the JWT.
func TestJWTClaims(t *testing.T) {
	s := newService(t)
	token := s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("nbf", noon.Unix()), issuertest.WithClaim("jti", "of the ID token"),
		issuertest.WithClaim("azp", "ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d"), issuertest.WithClaim("groups", "admins"))
	r := s.everything("example-bot", token)
	got := s.granted(r)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(credential(t, got, "vault").Token, ".")[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(payload, &claims))
	if names := slices.Sorted(maps.Keys(claims)); !slices.Equal(names, []string{"aud", "exp", "gatepass", "groups", "iat", "iss", "jti", "sub"}) {
		t.Errorf("claims %v", names)
	}
	if claims["exp"] != float64(got.ExpiresAt.Unix()) || claims["iat"] != float64(noon.Unix()) || claims["jti"] != credential(t, got, "vault").Serial {
		t.Errorf("claims %v", claims)
	}
	provider := claims["gatepass"].(map[string]any)
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp"} {
		if _, ok := provider[name]; ok {
			t.Errorf("the provider's %s is in the JWT", name)
		}
	}
	if provider["groups"] != "admins" || provider["branchName"] != "main" {
		t.Errorf("provider claims %v", provider)
	}
}

// What the record tells of each credential.
func TestRecordOfCredentials(t *testing.T) {
	s := newService(t)
	r := s.everything("example-bot", s.bitbucket(issuertest.BitbucketJob{}))
	r.Client = &api.ClientInfo{Version: "1.0.0", OS: "linux", Arch: "amd64"}
	record := s.record(s.granted(r).JoinID)
	want := map[string]store.RecordCredential{
		"ssh":   {Type: api.TypeSSH, Principals: []string{"deploy"}, Roles: []string{"deployer"}},
		"tls":   {Type: api.TypeX509, Usage: api.UsageIdentity},
		"db":    {Type: api.TypeX509, Usage: api.UsageDatabase, Subject: "app", Roles: []string{"deployer"}},
		"app":   {Type: api.TypeX509, Usage: api.UsageApplication, Subject: "grafana", Roles: []string{"deployer"}},
		"k8s":   {Type: api.TypeX509, Usage: api.UsageKubernetes, Subject: "ci", Roles: []string{"deployer"}},
		"vault": {Type: api.TypeJWT, Subject: "https://vault.example.com", Roles: []string{"deployer"}},
	}
	for _, got := range record.Credentials {
		w := want[got.Name]
		if got.Type != w.Type || got.Usage != w.Usage || got.Subject != w.Subject || !slices.Equal(got.Principals, w.Principals) || !slices.Equal(got.Roles, w.Roles) {
			t.Errorf("%s: recorded %+v, want %+v", got.Name, got, w)
		}
	}
	if record.Token != "example-bot" || record.Method != api.MethodBitbucket || record.Client == nil || *record.Client != *r.Client || record.TTLSeconds != 900 || record.RetryOf != "" {
		t.Errorf("recorded %+v", record)
	}
}

// watchedUses keeps the uses that are stored.
type watchedUses struct {
	join.Store
	mu   sync.Mutex
	uses []store.Use
}

func (w *watchedUses) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	w.mu.Lock()
	w.uses = append(w.uses, u)
	w.mu.Unlock()
	return w.Store.Use(ctx, u)
}

// keptRecords remembers how long records are to be kept.
type keptRecords struct {
	join.Store
	until []time.Time
}

func (k *keptRecords) Use(ctx context.Context, u store.Use) (store.Answer, error) {
	k.until = append(k.until, u.RecordUntil)
	return k.Store.Use(ctx, u)
}

func (k *keptRecords) Record(ctx context.Context, r store.Record, keepUntil time.Time) error {
	k.until = append(k.until, keepUntil)
	return k.Store.Record(ctx, r, keepUntil)
}

// A use is kept longer than its ID token, leeway and a clock that is wrong by an
// hour; a record is kept for 90 days. What the uses that were read refuse is neither
// signed nor stored as a use.
func TestUsesAndRecordsAreKept(t *testing.T) {
	var used *watchedUses
	var records *keptRecords
	s := newService(t, func(s *service, _ *server.Config) {
		used = &watchedUses{Store: s.config.Store}
		records = &keptRecords{Store: used}
		s.config.Store = records
	})
	token := s.bitbucket(issuertest.BitbucketJob{}, issuertest.WithClaim("exp", noon.Add(2*time.Hour).Unix()))
	s.granted(s.request("example-bot", token))
	if a := s.join(s.request("example-bot", token)); a.problem == nil || a.problem.Code != api.CodeIDTokenAlreadyUsed {
		t.Fatalf("answered %s", a.body)
	}
	if len(used.uses) != 1 || !used.uses[0].KeepUntil.Equal(noon.Add(3*time.Hour+30*time.Second)) {
		t.Errorf("stored the uses %+v", used.uses)
	}
	if want := noon.Add(90 * 24 * time.Hour); len(records.until) != 2 || !records.until[0].Equal(want) || !records.until[1].Equal(want) {
		t.Errorf("records are kept until %v", records.until)
	}
}

// A role's pin is the caller's address, however the transport writes it; a
// caller whose address nobody knows gets no certificate that is good anywhere.
func TestPinnedAddresses(t *testing.T) {
	s := newService(t)
	s.apply("kind: role\nversion: v7\nmetadata: {name: deployer}\nspec: {allow: {logins: [deploy]}, options: {pin_source_ip: true}}")
	service, err := join.New(s.config)
	must(t, err)
	for addr, want := range map[string]string{
		"203.0.113.7":        "203.0.113.7/32",
		"::ffff:203.0.113.7": "203.0.113.7/32",
		"2001:db8::7":        "2001:db8::7/128",
		"fe80::7%eth0":       "fe80::7/128",
	} {
		got, err := service.Join(t.Context(), s.bitbucketRequest(), join.Caller{Addr: netip.MustParseAddr(addr)})
		must(t, err)
		pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(credential(t, got, "ssh").Certificate))
		must(t, err)
		if pinned := pub.(*ssh.Certificate).CriticalOptions["source-address"]; pinned != want {
			t.Errorf("%s: pinned to %q, want %q", addr, pinned, want)
		}
	}
	_, err = service.Join(t.Context(), s.bitbucketRequest(), join.Caller{})
	if err == nil || !strings.HasPrefix(err.Error(), string(api.CodeNotPermitted)) {
		t.Errorf("no address: %v", err)
	}
}

// The same request is the same however it is written.
func TestRetryInOtherWords(t *testing.T) {
	roles := "\n---\nkind: role\nversion: v7\nmetadata: {name: second}\nspec: {allow: {logins: [audit]}}\n---\nkind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: [deployer, second]}"
	for name, change := range map[string]func(*api.JoinRequest){
		"credentials in another order": func(r *api.JoinRequest) { slices.Reverse(r.Credentials) },
		"roles in another order":       func(r *api.JoinRequest) { slices.Reverse(r.Credentials[0].Roles) },
		"a comment at the key":         func(r *api.JoinRequest) { r.Credentials[0].PublicKey += " job-42" },
		"a newline after the CSR":      func(r *api.JoinRequest) { r.Credentials[1].CSR += "\n" },
		"another client":               func(r *api.JoinRequest) { r.Client = &api.ClientInfo{Version: "2"} },
		"the join method":              func(r *api.JoinRequest) { r.JoinMethod = api.MethodBitbucket },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.apply(strings.TrimPrefix(roles, "\n---\n"))
			r := s.bitbucketRequest()
			r.Credentials[0].Roles = []string{"deployer", "second"}
			s.granted(r)
			change(r)
			if a := s.join(r); a.granted == nil || s.record(a.granted.JoinID).RetryOf == "" {
				t.Errorf("answered %s", a.body)
			}
		})
	}
}

// Every join is counted, with its code and whether a record of it was stored.
func TestCount(t *testing.T) {
	counted := map[string]bool{}
	s := newService(t, func(s *service, _ *server.Config) {
		s.config.Count = func(code string, recorded bool) { counted[code] = recorded }
	})
	s.granted(s.bitbucketRequest())
	s.join(s.request("nobody", s.bitbucket(issuertest.BitbucketJob{})))
	s.join(s.request("example-bot", s.bitbucket(issuertest.BitbucketJob{BranchName: "legacy"})))
	want := map[string]bool{store.CodeOK: true, string(api.CodeTokenNotFound): false, string(api.CodeDeniedByRule): true}
	if !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

// rotating has authorities in the middle of a rotation: a second key is trusted.
type rotating struct{ first, second authority.Authorities }

func (rotating) Prepare(context.Context) {}

func (r rotating) Authority(ctx context.Context, p cert.Purpose) (*authority.Authority, error) {
	a, err := r.first.Authority(ctx, p)
	if err != nil {
		return nil, err
	}
	b, err := r.second.Authority(ctx, p)
	if err != nil {
		return nil, err
	}
	both := *a
	both.TrustedKeys = slices.Concat(a.TrustedKeys, b.TrustedKeys)
	both.TrustedCertificates = slices.Concat(a.TrustedCertificates, b.TrustedCertificates)
	return &both, nil
}

// During a rotation servers are told of both keys, the one that signs first.
func TestRotation(t *testing.T) {
	s := newService(t, func(s *service, _ *server.Config) {
		second, err := localca.Open(s.t.Context(), filepath.Join(s.t.TempDir(), "second"), localca.Options{Now: s.clock.Now})
		must(s.t, err)
		s.config.Authorities = rotating{s.config.Authorities, second}
	})
	resp := s.granted(s.bitbucketRequest())
	if len(resp.Authorities.SSHUser) != 2 || len(resp.Authorities.SSHHost) != 2 {
		t.Errorf("SSH authorities %q", resp.Authorities)
	}
	for usage, text := range resp.Authorities.X509 {
		if n := strings.Count(text, "-----BEGIN CERTIFICATE-----\n"); n != 2 {
			t.Errorf("%d certificates of %s", n, usage)
		}
	}
	must(t, parseCert(t, credential(t, resp, "tls").Certificate).CheckSignatureFrom(parseCert(t, resp.Authorities.X509[api.UsageIdentity])))
	if n := strings.Count(s.do(http.MethodGet, api.PathJWKS, nil).body, `"kid"`); n != 2 {
		t.Errorf("%d keys of JWTs", n)
	}
	if n := strings.Count(s.do(http.MethodGet, api.PathAuthorities+"/ssh-user.pub", nil).body, " gatepass-user-ca\n"); n != 2 {
		t.Errorf("%d lines of ssh-user.pub", n)
	}
}

// A panic outside a join is answered too, and its place is in the log.
func TestAPanicOfTheTransport(t *testing.T) {
	s := newService(t, func(_ *service, c *server.Config) {
		c.SourceAddr = func(*http.Request) netip.Addr { panic("a fault of ours") }
	})
	a := s.join(s.bitbucketRequest())
	if a.problem == nil || a.problem.Code != api.CodeInternal || strings.Contains(a.body, "fault of ours") {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if log := s.log.String(); !strings.Contains(log, "a fault of ours") || !strings.Contains(log, "details_test.go") {
		t.Errorf("logged %s", log)
	}
}

// Retry-After is whole seconds, never too early (RFC 9110 §10.2.3).
func TestRetryAfterIsRoundedUp(t *testing.T) {
	s := newService(t, func(_ *service, c *server.Config) {
		c.Limit = func(netip.Addr) (bool, time.Duration) { return false, 6100 * time.Millisecond }
	})
	if a := s.join(s.bitbucketRequest()); a.header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}

// An answer repeats little of a caller's own spelling.
func TestLongFieldNamesAreCut(t *testing.T) {
	s := newService(t)
	a := s.post([]byte(`{"` + strings.Repeat("ü", 5000) + `": 1}`))
	if a.problem == nil || a.problem.Code != api.CodeMalformedRequest || len(a.problem.Detail) > 300 {
		t.Errorf("answered %.400s", a.body)
	}
}
