package lambda_test

import (
	"runtime"
	"testing"

	"github.com/gatepass-ci/gatepass/internal/lambda"
)

// A function runs Go on one processor unless its environment says otherwise.
func TestSetUpProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	t.Setenv("SSL_CERT_DIR", "unchanged")
	runtime.GOMAXPROCS(3)
	t.Setenv("GOMAXPROCS", "3")
	must(t, lambda.SetUp())
	if n := runtime.GOMAXPROCS(0); n != 3 {
		t.Errorf("GOMAXPROCS=3 is not kept: %d", n)
	}
	t.Setenv("GOMAXPROCS", "")
	must(t, lambda.SetUp())
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d processors, want 1", n)
	}
}
