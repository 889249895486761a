package server_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
	"github.com/gatepass-ci/gatepass/pkg/provider"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// bound is the request with an ID token that is bound to it, of a job that mints.
func (s *service) bound(req *api.JoinRequest, job issuertest.CircleCIJob) *api.JoinRequest {
	s.t.Helper()
	job.Audience = []string{provider.BoundAudience(issuertest.OrganizationID, s.digest(req))}
	bound := *req
	bound.IDToken = s.circleci(job)
	return &bound
}

// digest is that of a request, with the fingerprints read from what is sent.
func (s *service) digest(req *api.JoinRequest) api.RequestDigest {
	s.t.Helper()
	keys := make([]string, len(req.Credentials))
	for i, c := range req.Credentials {
		var encoded []byte
		switch c.Type {
		case api.TypeSSH:
			key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(c.PublicKey))
			must(s.t, err)
			encoded = key.Marshal()
		case api.TypeX509:
			csr, err := x509.ParseCertificateRequest(decodePEM(s.t, c.CSR))
			must(s.t, err)
			encoded = csr.RawSubjectPublicKeyInfo
		default:
			continue
		}
		sum := sha256.Sum256(encoded)
		keys[i] = hex.EncodeToString(sum[:])
	}
	return req.Digest(keys)
}

// refusedAs fails the test unless the request is refused with the code, and returns the
// record.
func (s *service) refusedAs(req *api.JoinRequest, code api.Code) store.Record {
	s.t.Helper()
	a := s.join(req)
	if a.problem == nil || a.problem.Code != code {
		s.t.Fatalf("answered %d %s, want %s", a.status, a.body, code)
	}
	return s.record(a.problem.JoinID)
}

// TestABoundTokenIsGoodForItsRequest and for the same request sent again.
func TestABoundTokenIsGoodForItsRequest(t *testing.T) {
	s := newService(t)
	req := s.bound(s.everything("circle-bot", ""), issuertest.CircleCIJob{})
	first := s.granted(req)
	retry := s.granted(req)
	if !retry.ExpiresAt.Equal(first.ExpiresAt) || retry.Credentials[0].Serial != first.Credentials[0].Serial {
		t.Errorf("the retry is %s until %s, the first answer %s until %s", retry.Credentials[0].Serial, retry.ExpiresAt, first.Credentials[0].Serial, first.ExpiresAt)
	}
	for _, id := range []string{first.JoinID, retry.JoinID} {
		if r := s.record(id); r.Bound == "" || r.Bound != r.Digest || r.Digest != s.digest(req).String() {
			t.Errorf("the record says bound %q, request %q, want %s twice", r.Bound, r.Digest, s.digest(req))
		}
	}
	unbound := s.granted(s.request("circle-bot", s.circleci(issuertest.CircleCIJob{})))
	if r := s.record(unbound.JoinID); r.Bound != "" || r.Digest == "" {
		t.Errorf("the record of a token that is not bound says bound %q, request %q", r.Bound, r.Digest)
	}
}

// TestAStolenBoundToken is sent by a thief who has seen the token and the whole request,
// and has another key.
func TestAStolenBoundToken(t *testing.T) {
	for name, steal := range map[string]func(*service, *api.JoinRequest){
		"another SSH key": func(s *service, r *api.JoinRequest) { r.Credentials[0].PublicKey = sshLine(s.t, newKey(s.t)) },
		"another TLS key": func(s *service, r *api.JoinRequest) { r.Credentials[1].CSR = csr(s.t, newKey(s.t)) },
		"a further key": func(s *service, r *api.JoinRequest) {
			r.Credentials = append(r.Credentials, api.CredentialRequest{Name: "mine", Type: api.TypeSSH, PublicKey: sshLine(s.t, newKey(s.t))})
		},
		"fewer credentials": func(_ *service, r *api.JoinRequest) { r.Credentials = r.Credentials[:1] },
		"a JWT in place": func(_ *service, r *api.JoinRequest) {
			r.Credentials = []api.CredentialRequest{{Name: "vault", Type: api.TypeJWT, Audience: "https://vault.example.com"}}
		},
		"the JWT of the job":  func(_ *service, r *api.JoinRequest) { r.RetryKey = "another key of 24 chars." },
		"a JWT, no retry key": func(_ *service, r *api.JoinRequest) { r.RetryKey, r.Credentials = "", r.Credentials[5:] },
		"another user":        func(_ *service, r *api.JoinRequest) { r.Credentials[2].DBUser = "postgres" },
		"other roles":         func(_ *service, r *api.JoinRequest) { r.Credentials[0].Roles = []string{"deployer"} },
		"another token rule":  func(_ *service, r *api.JoinRequest) { r.Token = "other-bot" },
		"the retry key":       func(_ *service, r *api.JoinRequest) { r.RetryKey = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.apply(strings.Replace(circleRule(""), "name: circle-bot", "name: other-bot", 1))
			honest := s.bound(s.everything("circle-bot", ""), issuertest.CircleCIJob{})
			if name == "the retry key" { // without a JWT, for which it is asked
				r := s.request("circle-bot", "")
				honest = s.bound(r, issuertest.CircleCIJob{})
			}
			stolen := *honest
			stolen.Credentials = append([]api.CredentialRequest(nil), honest.Credentials...)
			steal(s, &stolen)
			r := s.refusedAs(&stolen, api.CodeIDTokenWrongRequest)
			if r.Bound != s.digest(honest).String() || r.Digest == r.Bound || r.Digest == "" || len(r.Credentials) != 0 || r.Rule != nil {
				t.Errorf("the record says bound %q, request %q, rule %v, want bound %s and nothing decided", r.Bound, r.Digest, r.Rule, s.digest(honest))
			}
			s.granted(honest) // the thief has spent nothing
			s.refusedAs(&stolen, api.CodeIDTokenWrongRequest)
		})
	}
}

// TestTwoMintsInOneSecond are of one job, whose ID tokens have nothing of their own.
func TestTwoMintsInOneSecond(t *testing.T) {
	s := newService(t)
	job := issuertest.NewCircleCIJob()
	s.granted(s.request("circle-bot", s.circleci(job)))
	s.refusedAs(s.request("circle-bot", s.circleci(job)), api.CodeIDTokenAlreadyUsed) // max_joins is 1
	for range 2 {
		s.granted(s.bound(s.request("circle-bot", ""), job))
	}
}

// TestBindRequired takes no ID token that is good for any request.
func TestBindRequired(t *testing.T) {
	s := newService(t)
	s.apply(strings.Replace(circleRule(""), "spec:\n", "spec:\n  bind: "+rules.BindRequired+"\n", 1))
	unbound := s.request("circle-bot", s.circleci(issuertest.CircleCIJob{}))
	if r := s.refusedAs(unbound, api.CodeIDTokenNotBound); r.Bound != "" || !strings.Contains(r.Detail, "--audience") {
		t.Errorf("the record says bound %q: %s", r.Bound, r.Detail)
	}
	both := s.request("circle-bot", "")
	both.IDToken = s.circleci(issuertest.CircleCIJob{Audience: []string{issuertest.OrganizationID, "https://other.example.com#gatepass-v1:x"}})
	s.refusedAs(both, api.CodeIDTokenWrongRequest)
	s.granted(s.bound(s.request("circle-bot", ""), issuertest.CircleCIJob{}))
	// A JWT without a retry key is the one request that no ID token can be bound to.
	jwt := s.everything("circle-bot", "")
	jwt.RetryKey = ""
	if r := s.refusedAs(s.bound(jwt, issuertest.CircleCIJob{}), api.CodeIDTokenWrongRequest); !strings.Contains(r.Detail, "retry_key") {
		t.Errorf("refused: %s", r.Detail)
	}
}

// TestAStolenTokenIsRefusedBeforeTheRules: a thief with a token of a job that may not join
// learns nothing of them, nor of a lock.
func TestAStolenTokenIsRefusedBeforeTheRules(t *testing.T) {
	s := newService(t)
	s.apply("kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {all: true}, message: secret}\n")
	honest := s.bound(s.request("circle-bot", ""), issuertest.CircleCIJob{VCSOrigin: "github.com/evil/shop"})
	stolen := s.request("circle-bot", honest.IDToken)
	if r := s.refusedAs(stolen, api.CodeIDTokenWrongRequest); len(r.Mismatches) != 0 || r.Lock != "" {
		t.Errorf("the record has %+v, lock %q", r.Mismatches, r.Lock)
	}
	s.refusedAs(honest, api.CodeLocked)
}
