package test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/cli"
	"github.com/gatepass-ci/gatepass/internal/ctl"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
	"github.com/gatepass-ci/gatepass/internal/kms"
)

// All authorities are rotated on the deployed stack, with an administrator's rights and
// without a deployment: join signs with the new keys by their tags. What a rotation
// promises to those who rely on it is shown in test/rotation.
func (d *deployment) testRotation(t *testing.T) {
	for _, v := range d.ctlEnv { // Open reads this process's environment
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value)
		}
	}
	f := &joinFunction{lambdaWorld: &lambdaWorld{t: t, store: d.store, issuer: d.issuer}}
	step := func(s authority.Step, purposes ...cert.Purpose) []authority.Rotated {
		t.Helper()
		rotated, err := d.rotator(t).Rotate(t.Context(), s, true, purposes...)
		must(t, err)
		f.emulator = d.join.emulator
		checkGranted(t, f.granted(f.bitbucket(issuertest.BitbucketJob{})))
		return rotated
	}
	// A run that was cut off after it had made its key: the next finds it.
	cut := d.rotator(t)
	state, err := cut.State(t.Context(), cert.X509Identity)
	must(t, err)
	made, _, err := cut.Keys.Make(t.Context(), state.State)
	must(t, err)
	found := step(authority.StepAnnounce, cert.X509Identity)
	if got := found[0].Keys[1].ID; got != made {
		t.Errorf("the key %s was made a second time, as %s", made, got)
	}
	step(authority.StepBack, cert.X509Identity)

	step(authority.StepAnnounce, cert.Purposes()...)
	rotated := step(authority.StepSign, cert.Purposes()...)
	keys := awskms.NewFromConfig(d.admin())
	for _, r := range rotated {
		signing := r.Signing().ID
		if tags := d.tagsOf(signing); tags[kms.TagStack] != d.name || tags[kms.TagAuthority] != string(r.Purpose) {
			t.Errorf("the key of %s has the tags %v", r.Purpose, tags)
		}
		if jsonText(d.keyPolicy(t, signing)) != jsonText(d.keyPolicy(t, r.Keys[0].ID)) {
			t.Errorf("the key of %s has another policy than the one that it takes the place of", r.Purpose)
		}
		if r.Purpose == cert.SSHHost {
			d.rotatedHost = signing
		}
	}
	dir := t.TempDir()
	output(t, need(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "host"))
	line := d.mustCtl(t, "host", "sign", "--principals", "web-1", filepath.Join(dir, "host.pub"))
	must(t, os.WriteFile(filepath.Join(dir, "host-cert.pub"), []byte(line), 0o600))
	if shown := output(t, need(t, "ssh-keygen"), "-L", "-f", filepath.Join(dir, "host-cert.pub")); !strings.Contains(shown, "host certificate") {
		t.Errorf("host sign with the new key: %s", shown)
	}
	for _, r := range step(authority.StepFinish, cert.Purposes()...) {
		for _, k := range r.Keys {
			described, err := keys.DescribeKey(t.Context(), &awskms.DescribeKeyInput{KeyId: &k.ID})
			must(t, err)
			if state := described.KeyMetadata.KeyState; (state == types.KeyStateEnabled) != (k.Use == authority.Signs) {
				t.Errorf("%s: the key that %s is %s", r.Purpose, k.Use, state)
			}
		}
		if len(r.Left) == 0 || r.Left[0] != r.Keys[0].ID {
			t.Errorf("%s: what is left to do is %q", r.Purpose, r.Left)
		}
	}
	foreign, err := keys.CreateKey(t.Context(), &awskms.CreateKeyInput{
		KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify,
		Tags: []types.Tag{{TagKey: awssdk.String(kms.TagStack), TagValue: awssdk.String("another")}, {TagKey: awssdk.String(kms.TagAuthority), TagValue: awssdk.String("ssh-user")}},
	})
	must(t, err)
	d.foreignKey = awssdk.ToString(foreign.KeyMetadata.Arn)
}

// rotator is what gatepassctl makes for one command. In place of waiting until the
// function goes by nothing that it read before, it starts another.
func (d *deployment) rotator(t *testing.T) *authority.Rotator {
	t.Helper()
	env := &ctl.Env{Env: cli.Env{Now: time.Now}, CacheFor: authority.CacheFor, Stack: d.name}
	stack, err := env.Open(t.Context())
	must(t, err)
	rotator := stack.Rotator(t.Context())
	rotator.Published = func(ctx context.Context) (authority.Published, error) {
		return ctl.AskPublished(ctx, d.gateway.URL)
	}
	rotator.Wait = func(context.Context, time.Duration) error {
		d.join = d.startJoin()
		return nil
	}
	return rotator
}
