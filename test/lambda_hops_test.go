package test

import (
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/issuertest"
)

// A join makes its remote calls in four steps: whatever can be asked at the same
// time is. Each call here takes as long as a fifth step would.
func TestLambdaHops(t *testing.T) {
	w := newLambdaWorld(t)
	w.importKeys(0)
	f := w.startJoin()
	f.granted(w.bitbucket(issuertest.BitbucketJob{})) // reads what is kept: keys and certificates

	const call = 500 * time.Millisecond
	fastest := time.Hour
	for range 3 { // of a busy machine the least says most
		r := w.bitbucket(issuertest.BitbucketJob{})
		w.dynamo.Set(awstest.Late(call))
		w.kms.Set(awstest.Late(call))
		start := time.Now()
		f.granted(r)
		fastest = min(fastest, time.Since(start))
		if fastest < 5*call {
			break
		}
	}
	if fastest < 4*call || fastest >= 5*call {
		t.Errorf("the join took %s, with %s for each call: want 4 calls' time one after another, and less than 5", fastest, call)
	}
	var calls []string
	for _, p := range []*awstest.Proxy{w.dynamo, w.kms} {
		for _, r := range p.Requests() {
			calls = append(calls, r.Operation)
		}
	}
	t.Logf("calls of a join of six credentials: %v", calls)
	if len(calls) < 12 {
		t.Errorf("only %d calls: %v", len(calls), calls)
	}
}
