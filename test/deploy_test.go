package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// The whole way of who deploys Gatepass: the template deployed, the two guides' rules
// applied to the tables that it made, jobs of both CIs joined with its tables and
// keys. Then what all of it asked of AWS is held against the roles.
func TestDeployed(t *testing.T) {
	d := deploy(t)
	t.Run("an authority before the first join", d.testAuthorityFirst)
	t.Run("the guides", d.testGuides)
	t.Run("joins", d.testJoins)
	t.Run("gatepassctl", d.testCtl)
	t.Run("a rotation", d.testRotation)
	t.Run("what was revoked", d.testRevoked)
	t.Run("each function does only what its role allows", d.testAllowed)
	t.Run("each function does all that its role allows", d.testUsed)
	t.Run("IAM enforced", d.testEnforced)
}

// Who sets up servers exports the authorities before any job has joined. The X.509
// ones are made then, by join, since nobody else may sign by their keys.
func (d *deployment) testAuthorityFirst(t *testing.T) {
	first := d.mustCtl(t, "ca", "export", "--type", "x509-database")
	if !strings.Contains(first, "BEGIN CERTIFICATE") || d.mustCtl(t, "ca", "export", "--type", "x509-database") != first {
		t.Errorf("the authority is exported as %s", first)
	}
	if key := d.mustCtl(t, "ca", "export", "--type", "ssh-user"); !strings.HasSuffix(key, "gatepass-user-ca\n") {
		t.Errorf("the authority is exported as %s", key)
	}
}

// What was issued above is revoked, and the service's lists have it.
func (d *deployment) testRevoked(t *testing.T) {
	krl, crl := filepath.Join(t.TempDir(), "revoked.krl"), filepath.Join(t.TempDir(), "revoked.crl")
	if out := d.mustCtl(t, "revoke", "all", "--yes", "--krl", krl, "--crl", crl); !strings.Contains(out, "x509-identity") {
		t.Errorf("revoke said:\n%s", out)
	}
	for _, file := range []string{krl, crl} {
		if content, err := os.ReadFile(file); err != nil || len(content) < 100 { // a list of nothing is shorter
			t.Errorf("%s has %d bytes, %v", file, len(content), err)
		}
	}
	if out := d.mustCtl(t, "revoke", "ls"); !strings.Contains(out, "example") {
		t.Errorf("revoke ls:\n%s", out)
	}
}

// guides writes the rules of the two guides with the CIs' real issuers.
func guides(t *testing.T, issuer *issuertest.Issuer) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"role", "bot", "bitbucket-token", "circleci-token"} {
		text, err := os.ReadFile("../internal/ctl/service/guides/" + name + ".yaml")
		must(t, err)
		write(t, dir, name+".yaml", strings.NewReplacer(
			"BITBUCKET_ISSUER", issuer.BitbucketURL(), "CIRCLECI_ISSUER", issuer.CircleCIURL(),
		).Replace(string(text)))
	}
	return dir
}

func (d *deployment) testGuides(t *testing.T) {
	real, err := issuertest.New(issuertest.Config{Offline: true})
	must(t, err)
	keys, err := real.JWKS()
	must(t, err)
	file := write(t, t.TempDir(), "jwks.json", string(keys))
	for _, issuer := range []string{real.BitbucketURL(), real.CircleCIURL()} {
		d.mustCtl(t, "keys", "import", "--yes", "--issuer", issuer, file)
	}
	if out := d.mustCtl(t, "apply", "-f", guides(t, real)); !strings.Contains(out, "4 created") {
		t.Errorf("apply said:\n%s", out)
	}
	for rule, mint := range map[string]func() (string, error){
		"example-bot":      func() (string, error) { return real.Bitbucket(issuertest.BitbucketJob{}) },
		"example-circleci": func() (string, error) { return real.CircleCI(issuertest.CircleCIJob{}) },
	} {
		t.Run(rule, func(t *testing.T) {
			token, err := mint()
			must(t, err)
			dir := t.TempDir()
			idToken := write(t, dir, "id-token", token)
			out, err := exec.CommandContext(t.Context(), binary(t, "gatepass"), "join", "identity", "--server", d.gateway.URL,
				"--token", rule, "--destination", dir+"/identity", "--id-token-file", idToken).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			certificate := output(t, need(t, "ssh-keygen"), "-L", "-f", filepath.Join(dir, "identity", "key-cert.pub"))
			authority := write(t, dir, "ca.pub", d.mustCtl(t, "ca", "export", "--type", "ssh-user"))
			fingerprint := strings.Fields(output(t, need(t, "ssh-keygen"), "-l", "-f", authority))[1]
			if !strings.Contains(certificate, fingerprint) || !strings.Contains(certificate, "deploy") {
				t.Errorf("the certificate is not signed by %s:\n%s", fingerprint, certificate)
			}
			if listed := d.mustCtl(t, "joins", "ls", "--token", rule); !strings.Contains(listed, "ok") {
				t.Errorf("joins ls:\n%s", listed)
			}
		})
	}
	newest, _, err := store.Gather(d.store.Joins(t.Context(), adminQuery(1)))
	must(t, err)
	shown := d.mustCtl(t, "joins", "show", newest[0].JoinID)
	for _, want := range []string{newest[0].JoinID, "example", callerAddr, "deploy"} {
		if !strings.Contains(shown, want) {
			t.Errorf("joins show does not show %q:\n%s", want, shown)
		}
	}
}

// What else comes to pass in a service's life, for what it asks of AWS.
func (d *deployment) testJoins(t *testing.T) {
	f := &joinFunction{lambdaWorld: &lambdaWorld{t: t, store: d.store, issuer: d.issuer}, emulator: d.join.emulator}

	// One issuer has keys that are older than a minute; the other is new, so apply asks for its keys.
	keys, err := d.issuer.JWKS()
	must(t, err)
	before := time.Now().Add(-2 * time.Minute)
	must(t, d.store.PutKeySet(t.Context(), store.KeySet{Issuer: d.issuer.BitbucketURL(), JWKS: keys, FetchedAt: before, TriedAt: before}))
	cmd := d.ctl(t, "apply", "-f", write(t, t.TempDir(), "rules.yaml", lambdaRules(d.issuer)))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "fetched the keys of "+d.issuer.CircleCIURL()) || strings.Contains(string(out), "keys of "+d.issuer.BitbucketURL()) {
		t.Fatalf("apply: %v\n%s", err, out)
	}

	request := f.circleci(issuertest.CircleCIJob{})
	first := f.granted(request)
	checkGranted(t, first)
	if again := f.granted(request); !again.ExpiresAt.Equal(first.ExpiresAt) {
		t.Errorf("the retry ends at %s, the first answer at %s", again.ExpiresAt, first.ExpiresAt)
	}
	for range 2 { // max_joins is 2
		other := f.request("circleci", request.IDToken)
		if a := f.join(other); a.problem != nil && a.problem.Code != api.CodeIDTokenAlreadyUsed {
			t.Errorf("refused: %s", a.body)
		}
	}
	f.refused(f.request("circleci", request.IDToken), api.CodeIDTokenAlreadyUsed)
	f.refused(f.circleci(issuertest.CircleCIJob{VCSOrigin: "github.com/attacker/shop"}), api.CodeNoRuleMatched)

	// An unknown key: join asks jwks-refresh, which reads and stores.
	must(t, d.issuer.Rotate("next"))
	f.granted(f.bitbucket(issuertest.BitbucketJob{}))

	// The schedule, with an issuer that answers and with one that does not.
	if answer, err := d.refresh.Invoke(t.Context(), []byte(`{}`)); err != nil || !strings.Contains(string(answer), `"changed"`) {
		t.Errorf("the schedule: %s, %v", answer, err)
	}
	d.issuer.Misbehave(issuertest.Behaviour{Status: 500})
	if _, err := d.refresh.Invoke(t.Context(), []byte(`{}`)); err == nil && !strings.Contains(d.refresh.Log(), "RefreshFailures") {
		t.Error("an issuer that does not answer is no failure")
	}
	d.issuer.Behave()

	d.mustCtl(t, "apply", "-f", write(t, t.TempDir(), "lock.yaml", "kind: lock\nversion: v2\nmetadata: {name: stop}\nspec: {target: {bot: example}, message: incident 42}\n"))
	f.refused(f.bitbucket(issuertest.BitbucketJob{}), api.CodeLocked)
	d.mustCtl(t, "rm", "lock/stop")
	f.granted(f.bitbucket(issuertest.BitbucketJob{}))
}
