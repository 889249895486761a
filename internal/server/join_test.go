package server_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/ssh"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/join"
	"github.com/gatepass-ci/gatepass/internal/server"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// everything asks for one credential of each kind.
func (s *service) everything(token, idToken string) *api.JoinRequest {
	r := s.request(token, idToken)
	r.Credentials = append(r.Credentials,
		api.CredentialRequest{Name: "db", Type: api.TypeX509, Usage: api.UsageDatabase, DBUser: "app", DBName: "orders", CSR: csr(s.t, newKey(s.t))},
		api.CredentialRequest{Name: "app", Type: api.TypeX509, Usage: api.UsageApplication, App: "grafana", CSR: csr(s.t, newKey(s.t))},
		api.CredentialRequest{Name: "k8s", Type: api.TypeX509, Usage: api.UsageKubernetes, KubernetesUser: "ci", CSR: csr(s.t, newKey(s.t))},
		api.CredentialRequest{Name: "vault", Type: api.TypeJWT, Audience: "https://vault.example.com"},
	)
	return r
}

func TestJoinGrantsEveryKind(t *testing.T) {
	for _, ci := range []struct{ name, token string }{{"bitbucket", "example-bot"}, {"circleci v2", "circle-bot"}, {"circleci v1", "circle-bot"}} {
		t.Run(ci.name, func(t *testing.T) {
			s := newService(t)
			idToken := map[string]func() string{
				"bitbucket":   func() string { return s.bitbucket(issuertest.BitbucketJob{}) },
				"circleci v2": func() string { return s.circleci(issuertest.CircleCIJob{}) },
				"circleci v1": func() string { return s.circleci(issuertest.CircleCIJob{V1: true}) },
			}[ci.name]()
			resp := s.granted(s.everything(ci.token, idToken))

			if resp.Bot != "example" || resp.TTLSeconds != 900 || resp.TTLLimitedBy != "" || !resp.ExpiresAt.Equal(noon.Add(15*time.Minute)) {
				t.Errorf("granted %+v", resp)
			}
			checkSSH(t, resp)
			checkX509(t, resp)
			checkJWT(t, s, resp)
			checkGrantRecord(t, s, resp)
		})
	}
}

func credential(t *testing.T, resp *api.JoinResponse, name string) api.Credential {
	t.Helper()
	i := slices.IndexFunc(resp.Credentials, func(c api.Credential) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no credential %q in the answer", name)
	}
	return resp.Credentials[i]
}

func checkSSH(t *testing.T, resp *api.JoinResponse) {
	t.Helper()
	c := credential(t, resp, "ssh")
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(c.Certificate))
	must(t, err)
	authority, _, _, _, err := ssh.ParseAuthorizedKey([]byte(resp.Authorities.SSHUser[0]))
	must(t, err)
	checker := ssh.CertChecker{
		IsUserAuthority: func(key ssh.PublicKey) bool { return string(key.Marshal()) == string(authority.Marshal()) },
		Clock:           func() time.Time { return noon },
	}
	sshCert := pub.(*ssh.Certificate)
	must(t, checker.CheckCert("deploy", sshCert))
	if checker.CheckCert("root", sshCert) == nil {
		t.Error("the certificate lets root in")
	}
	if want := "gatepass:example:" + resp.JoinID; sshCert.KeyId != want {
		t.Errorf("key id %q, want %q", sshCert.KeyId, want)
	}
	if len(sshCert.Extensions)+len(sshCert.CriticalOptions) != 0 {
		t.Errorf("extensions %v %v, though the role has none", sshCert.Extensions, sshCert.CriticalOptions)
	}
}

func parseSSHCert(t *testing.T, line string) *ssh.Certificate {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	must(t, err)
	return key.(*ssh.Certificate)
}

func parseCert(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(decodePEM(t, text))
	must(t, err)
	return c
}

func checkX509(t *testing.T, resp *api.JoinResponse) {
	t.Helper()
	wants := map[string]struct{ usage, subject string }{
		"tls": {api.UsageIdentity, "CN=example"},
		"db":  {api.UsageDatabase, "CN=app,OU=orders"},
		"app": {api.UsageApplication, "CN=example,OU=grafana"},
		"k8s": {api.UsageKubernetes, "CN=ci,O=deployers"},
	}
	for name, want := range wants {
		leaf := parseCert(t, credential(t, resp, name).Certificate)
		if got := leaf.Subject.String(); got != want.subject {
			t.Errorf("%s: subject %q, want %q", name, got, want.subject)
		}
		for usage, text := range resp.Authorities.X509 {
			roots := x509.NewCertPool()
			roots.AddCert(parseCert(t, text))
			_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err == nil) != (usage == want.usage) {
				t.Errorf("%s under the %s authority: %v", name, usage, err)
			}
		}
	}
}

func checkJWT(t *testing.T, s *service, resp *api.JoinResponse) {
	t.Helper()
	set := s.do("GET", api.PathJWKS, nil)
	keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(set.body))
	must(t, err)
	var claims jwt.MapClaims
	_, err = jwt.ParseWithClaims(credential(t, resp, "vault").Token, &claims, keys.Keyfunc,
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(publicURL), jwt.WithAudience("https://vault.example.com"),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return noon }))
	must(t, err)
	if claims["sub"] != "bot:example" || fmt.Sprint(claims["groups"]) != "[deployers]" {
		t.Errorf("claims %v", claims)
	}
	provider, _ := claims["gatepass"].(map[string]any)
	if len(provider) == 0 || provider["aud"] != nil {
		t.Errorf("provider claims %v", provider)
	}
}

func checkGrantRecord(t *testing.T, s *service, resp *api.JoinResponse) {
	t.Helper()
	r := s.record(resp.JoinID)
	if r.Code != store.CodeOK || r.Bot != "example" || r.Rule == nil || *r.Rule != 0 || len(r.Credentials) != 6 || r.SourceAddr != "127.0.0.1" {
		t.Errorf("record %+v", r)
	}
	for _, c := range r.Credentials {
		if got := credential(t, resp, c.Name).Serial; got != c.Serial || got == "" {
			t.Errorf("%s: serial %q in the answer and %q in the record", c.Name, got, c.Serial)
		}
	}
	encoded, err := json.Marshal(r)
	must(t, err)
	if strings.Contains(string(encoded), "eyJ") {
		t.Error("the record holds a token")
	}
}

// Two hundred at once with one ID token: never more than max_joins win, and the same
// request is answered no more often than any may be.
func TestConcurrentJoins(t *testing.T) {
	const callers = 200
	for _, maxJoins := range []int{1, 3} {
		t.Run(fmt.Sprintf("other keys, max_joins %d", maxJoins), func(t *testing.T) {
			s := newService(t)
			s.apply(tokenRule("example-bot", fmt.Sprintf("  max_joins: %d\n", maxJoins)))
			token := s.bitbucket(issuertest.BitbucketJob{})
			requests := make([]*api.JoinRequest, callers)
			for i := range requests {
				requests[i] = s.request("example-bot", token)
			}
			codes := s.joinAll(requests)
			if codes["ok"] != maxJoins || codes[string(api.CodeIDTokenAlreadyUsed)] != callers-maxJoins {
				t.Errorf("outcomes %v", codes)
			}
			told := fmt.Sprintf("(max_joins is %d)", maxJoins)
			if a := s.join(s.request("example-bot", token)); a.problem == nil || !strings.Contains(a.problem.Detail, told) {
				t.Errorf("answered %s, want %q", a.body, told)
			}
		})
	}
	for _, local := range []bool{true, false} {
		t.Run(fmt.Sprintf("the same request, local %t", local), func(t *testing.T) {
			s := newService(t, func(s *service, _ *server.Config) { s.config.Local = local })
			request := s.bitbucketRequest()
			codes := s.joinAll(slices.Repeat([]*api.JoinRequest{request}, callers))
			refused := codes[string(api.CodeIDTokenAlreadyUsed)]
			if !local { // each writes over a record that says "granted", and the embedded store has no room for all at once
				refused += codes[string(api.CodeStoreUnavailable)]
			}
			if codes["ok"] != join.MaxAnswers || refused != callers-join.MaxAnswers {
				t.Errorf("outcomes %v", codes)
			}
			serials := map[string]bool{}
			for _, r := range s.records() {
				for _, c := range r.Credentials {
					serials[c.Serial] = true
				}
			}
			if len(serials) != len(request.Credentials) {
				t.Errorf("%d serials for %d credentials", len(serials), len(request.Credentials))
			}
			if uses := s.uses(request); uses != 1 {
				t.Errorf("%d uses in the claim", uses)
			}
		})
	}
}

// uses is how many uses the claim of a request's ID token has.
func (s *service) uses(r *api.JoinRequest) int {
	s.t.Helper()
	claim, err := s.store.Uses(s.t.Context(), s.records()[0].IDToken)
	must(s.t, err)
	return len(claim)
}

func (s *service) joinAll(requests []*api.JoinRequest) map[string]int {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		codes = map[string]int{}
	)
	for _, r := range requests {
		wg.Go(func() {
			a := s.join(r)
			mu.Lock()
			defer mu.Unlock()
			if a.granted != nil {
				codes["ok"]++
			} else {
				codes[string(a.problem.Code)]++
			}
		})
	}
	wg.Wait()
	return codes
}

func TestRetry(t *testing.T) {
	t.Run("ends no later than the first answer", func(t *testing.T) {
		s := newService(t)
		r := s.bitbucketRequest()
		first := s.granted(r)
		s.clock.advance(5 * time.Minute)
		again := s.granted(r)
		if again.ExpiresAt.After(first.ExpiresAt) || again.TTLLimitedBy != "retry" || again.TTLSeconds != 600 {
			t.Errorf("first until %s, again %+v", first.ExpiresAt, again)
		}
		if of := s.record(again.JoinID).RetryOf; of != first.JoinID {
			t.Errorf("the record says that it is a retry of %q", of)
		}
	})
	t.Run("ends with the first answer, whatever it asks for", func(t *testing.T) {
		for _, ttl := range []int64{60, 1200} {
			s := newService(t)
			r := s.bitbucketRequest()
			s.granted(r)
			s.clock.advance(time.Minute)
			r.TTLSeconds = &ttl
			if again := s.granted(r); again.TTLSeconds != 840 || again.TTLLimitedBy != "retry" {
				t.Errorf("asked for %d s: again %+v", ttl, again)
			}
		}
	})
	t.Run("is refused without a signature when it was answered as often as may be", func(t *testing.T) {
		s := newService(t)
		r := s.bitbucketRequest()
		for range join.MaxAnswers {
			s.granted(r)
		}
		config := s.config
		config.Authorities = brokenSigner{config.Authorities}
		unsigned, err := join.New(config)
		must(t, err)
		_, err = unsigned.Join(t.Context(), r, join.Caller{})
		if err == nil || !strings.HasPrefix(err.Error(), string(api.CodeIDTokenAlreadyUsed)) || !strings.Contains(err.Error(), "answered 32 times") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("is refused when the bot may no longer be given as much", func(t *testing.T) {
		s := newService(t)
		r := s.bitbucketRequest()
		s.granted(r)
		s.apply("kind: bot\nversion: v1\nmetadata: {name: example}\nspec: {roles: [deployer], max_session_ttl: 5m}")
		a := s.join(r)
		if a.problem == nil || a.problem.Code != api.CodeIDTokenAlreadyUsed || !strings.Contains(a.problem.Detail, "for longer than") {
			t.Errorf("answered %s", a.body)
		}
	})
	t.Run("is answered by an instance whose clock is behind", func(t *testing.T) {
		s := newService(t)
		r := s.bitbucketRequest()
		r.TTLSeconds = new(int64(12 * 60 * 60))
		first := s.granted(r)
		s.clock.advance(-20 * time.Second)
		if again := s.granted(r); !again.ExpiresAt.Equal(first.ExpiresAt) {
			t.Errorf("first until %s, again until %s", first.ExpiresAt, again.ExpiresAt)
		}
	})
	t.Run("is refused when the first answer's credentials have ended", func(t *testing.T) {
		s := newService(t)
		r := s.bitbucketRequest()
		s.granted(r)
		s.clock.advance(15 * time.Minute)
		if a := s.join(r); a.problem == nil || a.problem.Code != api.CodeIDTokenAlreadyUsed {
			t.Errorf("answered %s", a.body)
		}
	})
	for name, change := range map[string]func(*service, *api.JoinRequest){
		"another key":         func(s *service, r *api.JoinRequest) { r.Credentials[0].PublicKey = sshLine(s.t, newKey(s.t)) },
		"another retry key":   func(_ *service, r *api.JoinRequest) { r.RetryKey = "other" },
		"one credential less": func(_ *service, r *api.JoinRequest) { r.Credentials = r.Credentials[:1] },
		"narrower roles":      func(_ *service, r *api.JoinRequest) { r.Credentials[0].Roles = []string{"deployer"} },
		"another token rule": func(s *service, r *api.JoinRequest) {
			s.apply(tokenRule("second", ""))
			r.Token = "second"
		},
	} {
		t.Run("is another join with "+name, func(t *testing.T) {
			s := newService(t)
			r := s.bitbucketRequest()
			s.granted(r)
			change(s, r)
			if a := s.join(r); a.problem == nil || a.problem.Code != api.CodeIDTokenAlreadyUsed {
				t.Errorf("answered %s", a.body)
			}
		})
	}
	for _, key := range []string{"", "chosen by the client"} {
		t.Run(fmt.Sprintf("of a JWT with retry key %q", key), func(t *testing.T) {
			s := newService(t)
			r := s.everything("example-bot", s.bitbucket(issuertest.BitbucketJob{}))
			r.RetryKey = key
			s.granted(r)
			if a := s.join(r); (a.granted != nil) != (key != "") {
				t.Errorf("answered %s", a.body)
			}
		})
	}
	t.Run("succeeds once the signer is back, with nothing spent twice", func(t *testing.T) {
		s := newService(t)
		r := s.bitbucketRequest()
		broken := s.config
		broken.Authorities = brokenSigner{broken.Authorities}
		down, err := join.New(broken)
		must(t, err)
		if _, err := down.Join(t.Context(), r, join.Caller{}); err == nil {
			t.Fatal("granted without a signature")
		}
		s.granted(r)
		if uses := s.uses(r); uses != 1 {
			t.Errorf("%d uses in the claim", uses)
		}
	})
}

// All answers to one use are one set of credentials: the serials, the times and the
// names are the same, in whichever order the request has them, and a JWT is the same token.
func TestARetryIsTheSameSetOfCredentials(t *testing.T) {
	s := newService(t)
	r := s.everything("example-bot", s.bitbucket(issuertest.BitbucketJob{}))
	first := s.granted(r)
	s.clock.advance(7*time.Minute + 300*time.Millisecond)
	slices.Reverse(r.Credentials)
	again := s.granted(r)
	if again.JoinID == first.JoinID {
		t.Error("two joins have one id")
	}
	for _, c := range first.Credentials {
		other := credential(t, again, c.Name)
		if c.Serial == "" || other.Serial != c.Serial {
			t.Errorf("%s: serial %q, and %q in the retry", c.Name, c.Serial, other.Serial)
		}
		switch c.Type {
		case api.TypeJWT:
			x, y := c.Token[:strings.LastIndex(c.Token, ".")], other.Token[:strings.LastIndex(other.Token, ".")]
			if x != y {
				t.Errorf("%s: the retry's JWT says something else:\n%s\n%s", c.Name, x, y)
			}
		case api.TypeX509:
			x, y := parseCert(t, c.Certificate), parseCert(t, other.Certificate)
			if !bytes.Equal(x.RawTBSCertificate, y.RawTBSCertificate) {
				t.Errorf("%s: the retry's certificate says something else", c.Name)
			}
		case api.TypeSSH:
			x, y := parseSSHCert(t, c.Certificate), parseSSHCert(t, other.Certificate)
			if x.ValidAfter != y.ValidAfter || x.ValidBefore != y.ValidBefore {
				t.Errorf("%s: valid %d to %d, and %d to %d", c.Name, x.ValidAfter, x.ValidBefore, y.ValidAfter, y.ValidBefore)
			}
		}
	}
	recorded := func(id string) (serials []string) {
		for _, c := range s.record(id).Credentials {
			serials = append(serials, c.Name+" "+c.Serial)
		}
		slices.Sort(serials)
		return serials
	}
	if x, y := recorded(first.JoinID), recorded(again.JoinID); !slices.Equal(x, y) || len(x) != len(r.Credentials) {
		t.Errorf("recorded %q, and %q of the retry", x, y)
	}
	other := s.granted(s.everything("example-bot", s.bitbucket(issuertest.BitbucketJob{})))
	for _, c := range other.Credentials {
		if c.Serial == credential(t, first, c.Name).Serial {
			t.Errorf("another join has the serial %s too", c.Serial)
		}
	}
}
