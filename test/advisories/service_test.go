package advisories

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/sqlite"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
	gaterules "github.com/gatepass-ci/gatepass/pkg/rules"
)

// Neither a stranger nor a verified job that no rule lets in learns a value of a rule.
func policyInErrors(t *testing.T) {
	w := newWorld(t)
	verified := w.refused(t, w.mint(t, issuertest.BitbucketJob{BranchName: "feature"}), api.CodeNoRuleMatched)
	expired := w.refused(t, w.mint(t, issuertest.BitbucketJob{}, issuertest.WithClaim("exp", time.Now().Add(-time.Hour).Unix())), api.CodeIDTokenExpired)
	unsigned, err := issuertest.Unsigned(w.mint(t, issuertest.BitbucketJob{}), "key-1")
	worldtest.Must(t, err)
	for _, a := range []worldtest.Answer{verified, expired, w.join(t, unsigned)} {
		for _, secret := range []string{wanted, `"main"`, "deployer", "deploy", "1de489be-44a1-4b9d-9f4e-1f7d2f2a6b2c,"} {
			if strings.Contains(a.Content, secret) {
				t.Errorf("the answer %s has %q", a.Content, secret)
			}
		}
	}
}

// Text of any kind in a rule is an error, never a panic, and no login is unsafe.
func malformedRules(t *testing.T) {
	if _, _, err := gaterules.Parse("test.yaml", []byte(realRules)); err != nil {
		t.Fatalf("the rules that the others are made from: %v", err)
	}
	for _, text := range []string{"kind", "kind: role\n  x", "- a", "kind: [role]", "\x00", "{", "kind: role\nspec: {allow: {logins: [deploy root]}}", "&a [*a]", "? : :", "kind: role\nspec: 7"} {
		refuseRules(t, text)
	}
	for _, login := range []string{"", "*", "deploy root", "deploy,root", "-oProxyCommand=x", "deploy\nroot", "deploy\x00", "@cert-authority"} {
		quoted, err := json.Marshal(login)
		worldtest.Must(t, err)
		refuseRules(t, strings.Replace(realRules,
			"logins: [deploy]", "logins: ["+string(quoted)+"]", 1))
	}
}

// A login that a shell would expand cannot be granted.
func expandedLogins(t *testing.T) {
	for _, login := range []string{`$(id)`, "`id`", `$USER`, `a\b`, `%h`, `a;b`, `a|b`, `a&b`, `~root`, `{a,b}`} {
		quoted, err := json.Marshal(login)
		worldtest.Must(t, err)
		refuseRules(t, strings.Replace(realRules,
			"logins: [deploy]", "logins: ["+string(quoted)+"]", 1))
	}
}

// refuseRules fails the test if rules are taken.
func refuseRules(t *testing.T, text string) {
	t.Helper()
	if documents, _, err := gaterules.Parse("test.yaml", []byte(text)); err == nil {
		t.Errorf("%d documents are taken of %q", len(documents), text)
	}
}

// Nothing but a join signs anything, and nothing over HTTP revokes.
func pathsThatSignNothing(t *testing.T) {
	w := newWorld(t)
	before := w.Ctl("joins", "export")
	body, err := worldtest.SSHRequest("bitbucket", w.mint(t, issuertest.BitbucketJob{}))
	worldtest.Must(t, err)
	for _, path := range []string{"/acme/acme/directory", "/acme/new-order", "/scep/x", "/scep/pkiclient.exe", "/1.0/sign", "/sign", "/ssh/sign", "/v1/sign", "/v1/ssh/sign",
		"/v1/renew", "/renew", "/rekey", "/revoke", "/v1/revoke", "/1.0/revoke", "/v1/revoked", "/v1/tokens", "/v1/roles", "/v1/bots", "/v1/locks", "/admin", "/v1/admin", "/debug/pprof/",
		"/v1/join/", "/v1/join/bitbucket", "/V1/join", "/v1//join", "/v2/join", "/.well-known/est/simpleenroll"} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			if status, text := w.send(t, method, path, string(body)); status != 404 && status != 405 || strings.Contains(text, "cert-v01") {
				t.Errorf("%s %s is answered with %d %s", method, path, status, text)
			}
		}
	}
	for name, request := range map[string]string{
		"no ID token":     strings.Replace(string(body), `"id_token"`, `"idtoken"`, 1),
		"no rule":         strings.Replace(string(body), `"token":"bitbucket"`, `"token":""`, 1),
		"an empty object": "{}",
	} {
		if status, text := w.send(t, "POST", api.PathJoin, request); status/100 != 4 {
			t.Errorf("%s: answered with %d %s", name, status, text)
		}
	}
	if after := w.Ctl("joins", "export"); after != before {
		t.Errorf("something joined:\n%s", after)
	}
	store, err := sqlite.Open(t.Context(), w.Data, sqlite.Options{MustExist: true})
	worldtest.Must(t, err)
	defer store.Close()
	if all, err := store.Revocations(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("revoked: %+v, %v", all, err)
	}
}

// JSON that is deep, wide or long is refused at the bound of the body, by its first reader.
func hostileJSON(t *testing.T) {
	w := newWorld(t)
	var wide strings.Builder
	for i := range 5000 {
		wide.WriteString(`"k` + string(rune('a'+i%26)) + strings.Repeat("x", i%7) + `":0,`)
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"deep arrays":      {strings.Repeat("[", 60000), 400},
		"deep objects":     {strings.Repeat(`{"a":`, 12000), 400},
		"deep, in a field": {`{"credentials":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, 400},
		"many fields":      {"{" + wide.String() + `"z":0}`, 400},
		"a long number":    {`{"ttl_seconds":` + strings.Repeat("9", 60000) + `}`, 400},
		"a long exponent":  {`{"ttl_seconds":1e999999999}`, 400},
		"64 MiB":           {`{"token":"` + strings.Repeat("a", 64<<20) + `"}`, 413},
	} {
		if status, text := w.send(t, "POST", api.PathJoin, c.body); status != c.status || len(text) > 4096 {
			t.Errorf("%s: answered with %d %.300s", name, status, text)
		}
	}
	if most := w.MostMemory(); most > 128<<20 {
		t.Errorf("the server had %d MiB", most>>20)
	}
	w.honest(t)
}

// An ID token that is sent in a wrong place, or in a broken request, is neither answered nor logged.
func secretsInErrors(t *testing.T) {
	w := newWorld(t)
	idToken := w.mint(t, issuertest.BitbucketJob{})
	signature := idToken[strings.LastIndex(idToken, ".")+1:]
	for _, body := range []string{
		idToken, `"` + idToken + `"`, `{"id_token":["` + idToken + `"]}`, `{"id_token":"` + idToken, `{"` + idToken + `":1}`, `{"token":"` + idToken + `","id_token":"x","credentials":[]}`,
		`{"token":"bitbucket","id_token":"` + idToken + `","retry_key":"` + idToken + `"}`, `{"token":"bitbucket","id_token":"` + idToken + `","client":{"version":"` + idToken + `"}}`,
		`{"token":"bitbucket","id_token":"` + idToken + `","credentials":[{"name":"` + idToken + `","type":"ssh"}]}`,
		`{"token":"bitbucket","id_token":"` + idToken + `x","credentials":[{"name":"ssh","type":"ssh","public_key":"` + idToken + `"}]}`,
	} {
		for _, path := range []string{api.PathJoin, "/v1/other", "/" + idToken} {
			status, text := w.send(t, "POST", path, body, "Authorization", "Bearer "+idToken, "X-Vault-Inline-Auth", idToken, "Cookie", "t="+idToken)
			if status/100 != 4 || strings.Contains(text, signature) {
				t.Errorf("answered with %d %s", status, text)
			}
		}
	}
	if strings.Contains(w.Log(), signature) {
		t.Error("the log has an ID token")
	}
	if strings.Contains(w.Ctl("joins", "export"), signature) {
		t.Error("a record has an ID token")
	}
}

// No header names the service, or has it call somebody.
func forwardedHost(t *testing.T) {
	w := newWorld(t)
	body := `{"token":"bitbucket","id_token":"` + w.mint(t, issuertest.BitbucketJob{}) + `","retry_key":"a-key-of-this-very-job","credentials":[{"name":"jwt","type":"jwt","audience":"https://vault.example.com"}]}`
	status, text := w.send(t, "POST", api.PathJoin, body, "Host", "evil.example.com", "X-Forwarded-Host", "evil.example.com", "Forwarded", "host=evil.example.com", "X-Original-URL", "http://evil.example.com", "X-Forwarded-Proto", "gopher")
	if status != 200 || strings.Contains(text, "evil") {
		t.Fatalf("answered with %d %s", status, text)
	}
	var granted api.JoinResponse
	worldtest.Must(t, json.Unmarshal([]byte(text), &granted))
	payload, err := issuertest.Payload(granted.Credentials[0].Token)
	worldtest.Must(t, err)
	if !strings.Contains(string(payload), w.URL) || strings.Contains(string(payload), "evil") {
		t.Errorf("the JWT says %s", payload)
	}
	for _, path := range []string{"/.well-known/openid-configuration", api.PathAuthorities} {
		if _, text := w.send(t, "GET", path, "", "Host", "evil.example.com", "X-Forwarded-Host", "evil.example.com"); strings.Contains(text, "evil") {
			t.Errorf("%s says %s", path, text)
		}
	}
}

// A certificate without principals, or with a wildcard, is not signed.
func principals(t *testing.T) {
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	worldtest.Must(t, err)
	key, err := ssh.NewPublicKey(ca.Public())
	worldtest.Must(t, err)
	for _, host := range []bool{false, true} {
		for name, list := range map[string][]string{"none": nil, "an empty list": {}, "an empty one": {""}, "a wildcard": {"*"}, "a wildcard within": {"web-*"}, "a wildcard beside": {"deploy", "*"}, "a question mark": {"web-?"}} {
			now := time.Now()
			if line, err := cert.SignSSH(rand.Reader, ca, cert.SSHRequest{Key: key, KeyID: "k", Serial: 1, Host: host, Principals: list, ValidAfter: now, ValidBefore: now.Add(time.Minute)}); err == nil {
				t.Errorf("host %v, %s: signed %s", host, name, line)
			}
		}
	}
	for _, list := range []string{`["*"]`, `[""]`} {
		refuseRules(t, strings.Replace(realRules, "[deploy]", list, 1))
	}
	w := newWorld(t)
	w.Ctl("apply", "-f", worldtest.Write(t, t.TempDir(), "role.yaml", `{kind: role, version: v7, metadata: {name: deployer}, spec: {allow: {logins: []}}}`))
	w.refused(t, w.mint(t, issuertest.BitbucketJob{}), api.CodeNotPermitted)
}

// module is one that is linked, and the first version that has no such fault.
type module struct{ path, fixed string }

// versions are of modules that had a fault.
func versions(modules ...module) func(*testing.T) {
	return func(t *testing.T) {
		text := goMod(t)
		for _, m := range modules {
			found := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(m.path) + ` (v\S+)`).FindStringSubmatch(text)
			if found == nil || older(found[1], m.fixed) {
				t.Errorf("go.mod requires %v of %s, want %s or later", found, m.path, m.fixed)
			}
		}
	}
}

// older compares two versions of three numbers.
func older(a, b string) bool {
	numbers := func(v string) (all []int) {
		for text := range strings.SplitSeq(strings.TrimPrefix(v, "v"), ".") {
			n, _ := strconv.Atoi(text) // what is no number is old
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(a), numbers(b)) < 0
}

// floorOfGo is the least Go that builds Gatepass.
func floorOfGo(t *testing.T) {
	found := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(goMod(t))
	if found == nil || older(found[1], "1.26.6") {
		t.Errorf("go.mod has %v, want Go 1.26.6 or later", found)
	}
}

func goMod(t *testing.T) string {
	t.Helper()
	root, err := worldtest.Root()
	worldtest.Must(t, err)
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	worldtest.Must(t, err)
	return string(text)
}
