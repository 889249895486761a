package rotation

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/gatepass-ci/gatepass/internal/authority"
	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/cert"
	"github.com/gatepass-ci/gatepass/internal/dynamo"
	"github.com/gatepass-ci/gatepass/internal/kms"
	"github.com/gatepass-ci/gatepass/internal/wait"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// blade ends a run at one of its calls to AWS: that call and all after it, or all
// after it, come to nothing. It is as if the administrator was killed there.
type blade struct {
	mu        sync.Mutex
	operation string // at the first call of this; empty never
	applied   bool   // whether that call itself still comes to something
	fallen    bool
	cancel    context.CancelFunc
	seen      []string
}

func (b *blade) fault(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
	b.mu.Lock()
	defer b.mu.Unlock() // one call at a time, so that none slips past
	if !slices.Contains(b.seen, r.Operation) {
		b.seen = append(b.seen, r.Operation)
	}
	first := !b.fallen && r.Operation == b.operation
	b.fallen = b.fallen || first
	switch {
	case !b.fallen:
		forward(w)
		return
	case first && b.applied:
		awstest.CutAfter(r, w, forward)
	default:
		awstest.CutBefore(r, w, forward)
	}
	b.cancel()
}

// cutWorld is a stack whose administrator's calls go past a blade.
type cutWorld struct {
	cloud       *worldtest.Cloud
	stack       *worldtest.Stack
	dynamo, kms *awstest.Proxy
}

func (w *cutWorld) rotator(t *testing.T) *authority.Rotator {
	t.Helper()
	config := func(p *awstest.Proxy) aws.Config {
		c := w.cloud.Config()
		c.BaseEndpoint = new(p.URL())
		return c
	}
	store, err := dynamo.New(dynamo.Config{Client: dynamo.NewClient(config(w.dynamo)), Tables: w.stack.Tables})
	must(t, err)
	keys := kms.NewClient(config(w.kms))
	all := kms.New(kms.Config{Client: keys, Keys: w.stack.Keys, Certificates: store, Rotated: store})
	return &authority.Rotator{
		Store: store, Keys: &kms.KeyRing{Client: keys, Stack: w.stack.Name, Keys: w.stack.Keys},
		Authorities: func() (authority.Authorities, error) { return all, nil }, Now: time.Now, Wait: wait.For,
	}
}

// run takes a step and has the blade fall.
func (w *cutWorld) run(t *testing.T, step authority.Step, b *blade) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.cancel = cancel
	w.dynamo.Set(b.fault)
	w.kms.Set(b.fault)
	defer w.dynamo.Set(nil)
	defer w.kms.Set(nil)
	_, err := w.rotator(t).Rotate(ctx, step, true, cert.X509Identity)
	return err
}

// state is what is stored, read past the blade.
func (w *cutWorld) state(t *testing.T) authority.Stored {
	t.Helper()
	s, err := rotator(w.cloud, w.stack).State(t.Context(), cert.X509Identity)
	must(t, err)
	return s
}

// made counts the KMS keys that there are.
func (w *cutWorld) made(t *testing.T) int {
	t.Helper()
	out, err := awskms.NewFromConfig(w.cloud.Config()).ListKeys(t.Context(), &awskms.ListKeysInput{Limit: aws.Int32(1000)})
	must(t, err)
	return len(out.Keys)
}

// endpoint is a variable of the environment by which commands find the cloud.
func endpoint(t *testing.T, c *worldtest.Cloud, name string) string {
	t.Helper()
	for _, v := range c.Env() {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	t.Fatalf("the cloud has no %s", name)
	return ""
}

// A run that is cut off at any of its calls, before AWS has got it or before the
// answer has come, leaves the state before or after; the same step again goes on, and
// makes no second key.
func TestCutOffAtEveryCall(t *testing.T) {
	c := worldtest.SharedCloud(t)
	s, err := c.NewStack(t.Context(), "cut")
	must(t, err)
	t.Cleanup(s.Close)
	w := &cutWorld{cloud: c, stack: s}
	w.dynamo, err = awstest.NewProxy(endpoint(t, c, "AWS_ENDPOINT_URL_DYNAMODB"))
	must(t, err)
	t.Cleanup(w.dynamo.Close)
	w.kms, err = awstest.NewProxy(endpoint(t, c, "AWS_ENDPOINT_URL"))
	must(t, err)
	t.Cleanup(w.kms.Close)

	for _, step := range []struct {
		step  authority.Step
		undo  []authority.Step // leads to where the step began
		phase authority.Phase
		calls []string // which it must make
	}{
		{authority.StepAnnounce, []authority.Step{authority.StepBack}, authority.Announced, []string{"CreateKey", "GetKeyPolicy", "GetPublicKey", "ListKeys", "PutItem", "Query"}},
		{authority.StepSign, []authority.Step{authority.StepBack}, authority.Switched, []string{"PutItem", "Query"}},
		{authority.StepFinish, []authority.Step{authority.StepAnnounce, authority.StepSign}, authority.Settled, []string{"DisableKey", "PutItem", "Query"}},
	} {
		whole := &blade{}
		must(t, w.run(t, step.step, whole))
		for _, call := range step.calls {
			if !slices.Contains(whole.seen, call) {
				t.Fatalf("phase %s makes the calls %v, without %s", step.step, whole.seen, call)
			}
		}
		for _, call := range whole.seen {
			ways := []bool{false}
			if slices.Contains([]string{"CreateKey", "PutItem", "DisableKey"}, call) { // what changes something
				ways = append(ways, true)
			}
			for _, applied := range ways {
				for _, undo := range step.undo {
					must(t, w.run(t, undo, &blade{}))
				}
				before, keys := w.state(t), w.made(t)
				b := &blade{operation: call, applied: applied}
				if err := w.run(t, step.step, b); err == nil {
					t.Fatalf("phase %s cut off at %s was made whole", step.step, call)
				}
				after := w.state(t)
				if after.Revision != before.Revision && after.Phase() != step.phase {
					t.Errorf("phase %s cut off at %s led from %s to %s", step.step, call, before.Phase(), after.Phase())
				}
				must(t, w.run(t, step.step, &blade{}))
				if got := w.state(t); got.Phase() != step.phase {
					t.Errorf("phase %s after it was cut off at %s led to %s", step.step, call, got.Phase())
				}
				want := keys
				if step.step == authority.StepAnnounce {
					want++
				}
				if got := w.made(t); got != want {
					t.Errorf("phase %s cut off at %s, and made again, made %d keys, want %d", step.step, call, got-keys, want-keys)
				}
			}
		}
		t.Logf("phase %s was cut off at %v", step.step, whole.seen)
	}
}
