package test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// loopbackIssuer starts a service whose token rules name an issuer that serves.
func loopbackIssuer(t *testing.T, env ...string) (*worldtest.Serve, *issuertest.Issuer) {
	t.Helper()
	issuer, err := issuertest.New(issuertest.Config{Algorithm: issuertest.ES256})
	must(t, err)
	t.Cleanup(func() { must(t, issuer.Close()) })
	dir := t.TempDir()
	if env == nil {
		env = []string{"GATEPASS_PRIVATE_ISSUERS=" + issuer.Host(), "GATEPASS_ISSUER_CA=" + write(t, dir, "ca.pem", string(issuer.CA()))}
	}
	s := worldtest.StartServe(t, filepath.Join(dir, "data"), env...)
	here := strings.ReplaceAll(rules, "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", issuer.BitbucketURL())
	here = strings.ReplaceAll(here, "    organization_id:", "    issuer: "+issuer.CircleCIURL()+"\n    organization_id:")
	s.Ctl("apply", "-f", write(t, dir, "rules.yaml", here))
	return s, issuer
}

func joinBitbucket(t *testing.T, s *worldtest.Serve, issuer *issuertest.Issuer) int {
	t.Helper()
	token, err := issuer.Bitbucket(issuertest.BitbucketJob{})
	must(t, err)
	status, _ := postJoin(t, s.URL, token)
	return status
}

// The first join of a new rule fetches the issuer's keys by itself; a flood of
// joins asks the issuer once.
func TestFirstJoinFetchesTheKeys(t *testing.T) {
	s, issuer := loopbackIssuer(t)
	if status := joinBitbucket(t, s, issuer); status != http.StatusOK {
		t.Fatalf("answered with %d", status)
	}
	before := issuer.Requests()
	if before.Discovery == 0 || before.Keys == 0 {
		t.Fatalf("the issuer was asked %+v", before)
	}
	for range 20 {
		token, err := issuer.Bitbucket(issuertest.BitbucketJob{}, issuertest.WithHeader("kid", "nobody"))
		must(t, err)
		// The issuer was asked a moment ago: whether it has a new key is not known yet.
		if status, _ := postJoin(t, s.URL, token); status != api.CodeIssuerKeysUnavailable.Status() {
			t.Fatalf("a token of an unknown key was answered with %d", status)
		}
	}
	if after := issuer.Requests(); after.Keys != before.Keys {
		t.Errorf("a flood asked the issuer for its keys %d times", after.Keys-before.Keys)
	}
}

// Without GATEPASS_PRIVATE_ISSUERS an issuer on a loopback address is not dialed.
func TestPrivateIssuersMustBeNamed(t *testing.T) {
	s, issuer := loopbackIssuer(t, "GATEPASS_PRIVATE_ISSUERS=")
	if status := joinBitbucket(t, s, issuer); status != api.CodeIssuerKeysUnavailable.Status() {
		t.Errorf("answered with %d", status)
	}
	if r := issuer.Requests(); r != (issuertest.Requests{}) {
		t.Errorf("the issuer was asked %+v", r)
	}
	if out := s.Ctl("keys", "ls"); !strings.Contains(out, "not a public address") {
		t.Errorf("gatepassctl keys ls does not say why:\n%s", out)
	}
}

// An issuer that misbehaves later does not take the keys away that it gave before.
func TestKeysOutliveABadAnswer(t *testing.T) {
	s, issuer := loopbackIssuer(t)
	if status := joinBitbucket(t, s, issuer); status != http.StatusOK {
		t.Fatalf("answered with %d", status)
	}
	for name, bad := range map[string]issuertest.Behaviour{
		"empty set":     {EmptyKeySet: true},
		"duplicate kid": {DuplicateKeyID: true},
		"not JSON":      {NotJSON: true},
		"status 500":    {Status: http.StatusInternalServerError},
	} {
		issuer.Misbehave(bad)
		command := s.CtlCommand("keys", "refresh", "--issuer", issuer.BitbucketURL())
		command.Env = append(command.Environ(), "GATEPASS_PRIVATE_ISSUERS="+issuer.Host(), "GATEPASS_ISSUER_CA="+write(t, t.TempDir(), "ca.pem", string(issuer.CA())))
		if out, err := command.CombinedOutput(); err == nil {
			t.Errorf("%s: the refresh succeeded:\n%s", name, out)
		}
		if out := s.Ctl("keys", "ls"); !strings.Contains(out, "failing") {
			t.Errorf("%s: gatepassctl keys ls does not show that the issuer fails:\n%s", name, out)
		}
		if status := joinBitbucket(t, s, issuer); status != http.StatusOK {
			t.Errorf("%s: a join was answered with %d", name, status)
		}
	}
}
