package issuertest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

func newIssuer(t *testing.T, c issuertest.Config) *issuertest.Issuer {
	t.Helper()
	if c.Algorithm == "" {
		c.Algorithm = issuertest.ES256 // quick to make
	}
	i, err := issuertest.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// client trusts the issuer's authority and follows no redirect.
func client(t *testing.T, i *issuertest.Issuer) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(i.CA()) {
		t.Fatal("the issuer's authority is not PEM")
	}
	c := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       5 * time.Second,
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, []byte) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func TestServesDiscoveryAndKeysAtEachCIsURL(t *testing.T) {
	i := newIssuer(t, issuertest.Config{})
	c := client(t, i)
	for _, tc := range []struct{ ci, issuer, wantIssuer, wantKeys string }{
		{"bitbucket", i.BitbucketURL(), "https://" + i.Host() + "/2.0/workspaces/acme/pipelines-config/identity/oidc", "/keys.json"},
		{"circleci", i.CircleCIURL(), "https://" + i.Host() + "/org/" + issuertest.OrganizationID, "/.well-known/jwks-pub.json"},
	} {
		t.Run(tc.ci, func(t *testing.T) {
			if tc.issuer != tc.wantIssuer {
				t.Errorf("issuer is %s, want %s", tc.issuer, tc.wantIssuer)
			}
			var doc struct {
				Issuer  string `json:"issuer"`
				JWKSURI string `json:"jwks_uri"`
			}
			_, body := get(t, c, tc.issuer+"/.well-known/openid-configuration")
			if err := json.Unmarshal(body, &doc); err != nil {
				t.Fatal(err)
			}
			if doc.Issuer != tc.issuer || doc.JWKSURI != tc.issuer+tc.wantKeys {
				t.Errorf("discovery says %+v", doc)
			}
			_, keys := get(t, c, doc.JWKSURI)
			if want, _ := i.JWKS(); string(keys) != string(want) {
				t.Errorf("published %s, want %s", keys, want)
			}
			for _, secret := range []string{`"d"`, `"p"`, `"k"`} {
				if strings.Contains(string(keys), secret) {
					t.Errorf("key set has the member %s", secret)
				}
			}
		})
	}
	if got, want := i.Requests(), (issuertest.Requests{Discovery: 2, Keys: 2}); got != want {
		t.Errorf("requests are %+v, want %+v", got, want)
	}
	if resp, _ := get(t, c, "https://"+i.Host()+"/"); resp.StatusCode != 404 || i.Requests().Other != 1 {
		t.Errorf("another path: status %d, %d others counted", resp.StatusCode, i.Requests().Other)
	}
}

func TestOfflineHasTheRealNames(t *testing.T) {
	i := newIssuer(t, issuertest.Config{Offline: true, Workspace: "shop"})
	if got, want := i.BitbucketURL(), "https://api.bitbucket.org/2.0/workspaces/shop/pipelines-config/identity/oidc"; got != want {
		t.Errorf("BitbucketURL is %s, want %s", got, want)
	}
	if got, want := i.CircleCIURL(), "https://oidc.circleci.com/org/"+issuertest.OrganizationID; got != want {
		t.Errorf("CircleCIURL is %s, want %s", got, want)
	}
	if i.Host() != "" || i.CA() != nil {
		t.Error("an issuer that serves nothing has a host or an authority")
	}
}

func TestTokensHaveTheTrueShape(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	i := newIssuer(t, issuertest.Config{Offline: true, Now: func() time.Time { return now }})
	const repo, step, env = issuertest.RepositoryUUID, "{bd715740-7e5a-4b0a-9d3e-0d6f1c1d2e3f}", "{759de0c6-1b2c-4d3e-8f40-516273849506}"
	const org, project, user = issuertest.OrganizationID, issuertest.ProjectID, "00000000-0000-0000-0000-000000000005"
	v1 := "org/" + org + "/project/" + project + "/user/" + user
	bitbucket := func(job issuertest.BitbucketJob) (string, error) { return i.Bitbucket(job) }
	circle := func(job issuertest.CircleCIJob) (string, error) { return i.CircleCI(job) }
	type mint func() (string, error)
	for name, tc := range map[string]struct {
		mint mint
		sub  string
		aud  any
	}{
		"bitbucket step": {func() (string, error) { return bitbucket(issuertest.BitbucketJob{StepUUID: step}) }, repo + ":" + step, "ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d"},
		"bitbucket deployment": {func() (string, error) {
			return bitbucket(issuertest.BitbucketJob{StepUUID: step, DeploymentEnvironmentUUID: env})
		}, repo + ":" + env + ":" + step, "ari:cloud:bitbucket::workspace/922e118c-f34f-4226-a897-0e0afbec553d"},
		"circleci version 1":          {func() (string, error) { return circle(issuertest.CircleCIJob{V1: true}) }, v1, org},
		"circleci version 2":          {func() (string, error) { return circle(issuertest.CircleCIJob{}) }, v1 + "/vcs-origin/github.com/acme/shop/vcs-ref/refs/heads/main", org},
		"circleci custom webhook":     {func() (string, error) { return circle(issuertest.CircleCIJob{CustomWebhook: true}) }, v1, org},
		"circleci audience of choice": {func() (string, error) { return circle(issuertest.CircleCIJob{V1: true, Audience: []string{"a"}}) }, v1, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := tc.mint()
			if err != nil {
				t.Fatal(err)
			}
			claims := jwt.MapClaims{}
			if _, _, err := jwt.NewParser().ParseUnverified(raw, claims); err != nil {
				t.Fatal(err)
			}
			if claims["sub"] != tc.sub || claims["aud"] != tc.aud {
				t.Errorf("sub %v, aud %v; want %v, %v", claims["sub"], claims["aud"], tc.sub, tc.aud)
			}
			if claims["iat"] != float64(now.Unix()) || claims["exp"] != float64(now.Unix()+3600) {
				t.Errorf("iat %v, exp %v", claims["iat"], claims["exp"])
			}
			if again, _ := tc.mint(); strings.Contains(name, "circleci") && again == raw {
				t.Error("two jobs have the same token")
			}
		})
	}
}

func TestTokensVerifyByThePublishedKeys(t *testing.T) {
	for _, alg := range []string{issuertest.RS256, issuertest.ES256} {
		t.Run(alg, func(t *testing.T) {
			i := newIssuer(t, issuertest.Config{Offline: true, Algorithm: alg})
			first, err := i.Bitbucket(issuertest.BitbucketJob{})
			if err != nil {
				t.Fatal(err)
			}
			key, err := i.PublicKey()
			if err != nil {
				t.Fatal(err)
			}
			by := func(*jwt.Token) (any, error) { return key, nil }
			if _, err := jwt.Parse(first, by, jwt.WithValidMethods([]string{alg})); err != nil {
				t.Errorf("honest token: %v", err)
			}
			if err := i.Rotate("key-2"); err != nil {
				t.Fatal(err)
			}
			second, err := i.Bitbucket(issuertest.BitbucketJob{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jwt.Parse(second, by); !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
				t.Errorf("token of the new key by the old: %v", err)
			}
			if jwks, _ := i.JWKS(); strings.Contains(string(jwks), issuertest.FirstKeyID) || !strings.Contains(string(jwks), "key-2") {
				t.Errorf("after the rotation %s is published", jwks)
			}
		})
	}
}

func TestKeysComeAndGo(t *testing.T) {
	i := newIssuer(t, issuertest.Config{Offline: true})
	if err := i.AddKey(issuertest.FirstKeyID, issuertest.ES256); err == nil {
		t.Error("the same kid and algorithm was added twice")
	}
	if err := i.AddKey("key-2", issuertest.ES256); err != nil {
		t.Fatal(err)
	}
	i.RemoveKey("key-2")
	raw, err := i.CircleCI(issuertest.CircleCIJob{})
	if err != nil {
		t.Fatal(err)
	}
	if tok, _, err := jwt.NewParser().ParseUnverified(raw, jwt.MapClaims{}); err != nil || tok.Header["kid"] != issuertest.FirstKeyID {
		t.Errorf("signed by %v (%v) after the other key went", tok.Header["kid"], err)
	}
	i.RemoveKey(issuertest.FirstKeyID)
	if _, err := i.CircleCI(issuertest.CircleCIJob{}); err == nil {
		t.Error("minted without a key")
	}
}

func TestMisbehaviour(t *testing.T) {
	i := newIssuer(t, issuertest.Config{})
	c := client(t, i)
	discovery, keys := i.BitbucketURL()+"/.well-known/openid-configuration", i.BitbucketURL()+"/keys.json"
	countKeys := func(body []byte) int {
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(body, &set); err != nil {
			return -1
		}
		return len(set.Keys)
	}
	for name, tc := range map[string]struct {
		behaviour issuertest.Behaviour
		url       string
		ok        func(*http.Response, []byte) bool
	}{
		"status":          {issuertest.Behaviour{Status: 500}, discovery, func(r *http.Response, _ []byte) bool { return r.StatusCode == 500 }},
		"redirect":        {issuertest.Behaviour{Redirect: "https://127.0.0.1:1/"}, discovery, func(r *http.Response, _ []byte) bool { return r.Header.Get("Location") == "https://127.0.0.1:1/" }},
		"huge":            {issuertest.Behaviour{BodyBytes: 3 << 20}, keys, func(_ *http.Response, b []byte) bool { return len(b) == 3<<20 && json.Valid(b) }},
		"huge, no length": {issuertest.Behaviour{BodyBytes: 3 << 20, UnknownLength: true}, keys, func(r *http.Response, b []byte) bool { return r.ContentLength == -1 && len(b) == 3<<20 }},
		"not JSON":        {issuertest.Behaviour{NotJSON: true}, keys, func(r *http.Response, b []byte) bool { return r.StatusCode == 200 && !json.Valid(b) }},
		"only keys":       {issuertest.Behaviour{NotJSON: true, OnlyKeys: true}, discovery, func(_ *http.Response, b []byte) bool { return json.Valid(b) }},
		"only discovery":  {issuertest.Behaviour{NotJSON: true, OnlyDiscovery: true}, discovery, func(_ *http.Response, b []byte) bool { return !json.Valid(b) }},
		"wrong issuer": {issuertest.Behaviour{DiscoveryIssuer: "https://evil.example"}, discovery, func(_ *http.Response, b []byte) bool {
			return strings.Contains(string(b), `"issuer":"https://evil.example"`)
		}},
		"http jwks_uri": {issuertest.Behaviour{JWKSURI: "http://evil.example/"}, discovery, func(_ *http.Response, b []byte) bool {
			return strings.Contains(string(b), `"jwks_uri":"http://evil.example/"`)
		}},
		"empty key set": {issuertest.Behaviour{EmptyKeySet: true}, keys, func(_ *http.Response, b []byte) bool { return countKeys(b) == 0 }},
		"duplicate kid": {issuertest.Behaviour{DuplicateKeyID: true}, keys, func(_ *http.Response, b []byte) bool {
			return countKeys(b) == 2 && strings.Count(string(b), issuertest.FirstKeyID) == 2
		}},
		"honest":            {issuertest.Behaviour{}, keys, func(r *http.Response, b []byte) bool { return r.StatusCode == 200 && countKeys(b) == 1 }},
		"slow, but in time": {issuertest.Behaviour{Delay: time.Millisecond}, keys, func(_ *http.Response, b []byte) bool { return countKeys(b) == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			i.Misbehave(tc.behaviour)
			defer i.Behave()
			if resp, body := get(t, c, tc.url); !tc.ok(resp, body) {
				t.Errorf("answered %d with %d bytes %.200s", resp.StatusCode, len(body), body)
			}
		})
	}
}

func TestDelayAndStallOutlastTheClientAndEndWithTheIssuer(t *testing.T) {
	for name, b := range map[string]issuertest.Behaviour{"delay": {Delay: time.Hour}, "stall": {Stall: true}} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, issuertest.Config{})
			i.Misbehave(b)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.CircleCIURL()+"/.well-known/jwks-pub.json", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client(t, i).Do(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the client's deadline", err)
			}
			closed := make(chan error, 1)
			go func() { closed <- i.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Error("Close hangs")
			}
		})
	}
}

func TestServesOnLoopbackOnly(t *testing.T) {
	if i, err := issuertest.New(issuertest.Config{Algorithm: issuertest.ES256, Listen: "0.0.0.0:0"}); err == nil {
		i.Close()
		t.Error("an issuer for tests serves on all addresses")
	}
}
