package soak

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
)

// environments is how many instances of the function join answer.
const environments = 2

// cloud is the function join in some environments, with a proxy in front of DynamoDB and one of KMS.
type cloud struct {
	*worldtest.World
	t           *testing.T
	dynamo, kms *awstest.Proxy
	functions   [environments]atomic.Pointer[awstest.Emulator]
	next        atomic.Int64
	mu          sync.Mutex // of who replaces an environment
}

// cloudFaults are what happens to the function and to what it calls.
var cloudFaults = map[string]func(*cloud){
	"function killed":         (*cloud).kill,
	"DynamoDB throttles":      func(c *cloud) { c.while(c.dynamo, 3, awstest.Throttled) },
	"DynamoDB stalls":         func(c *cloud) { c.while(c.dynamo, 8, awstest.Late(4*time.Second)) }, // longer than a try of the SDK
	"DynamoDB answers late":   func(c *cloud) { c.while(c.dynamo, 2, awstest.Late(300*time.Millisecond)) },
	"DynamoDB's answers lost": func(c *cloud) { c.while(c.dynamo, 3, awstest.CutAfter) },
	"DynamoDB hangs up":       func(c *cloud) { c.while(c.dynamo, 3, awstest.CutBefore) },
	"DynamoDB fails": func(c *cloud) {
		c.while(c.dynamo, 1, awstest.Error(http.StatusInternalServerError, "InternalServerError", nil))
	},
	"KMS throttles":          func(c *cloud) { c.while(c.kms, 2, awstest.Throttled) },
	"KMS stalls":             func(c *cloud) { c.while(c.kms, 4, awstest.Late(4*time.Second)) },
	"KMS's answers lost":     func(c *cloud) { c.while(c.kms, 2, awstest.CutAfter) },
	"KMS refuses every call": func(c *cloud) { c.while(c.kms, 1, awstest.Error(http.StatusBadRequest, "KMSInternalException", nil)) },
}

// The functions on DynamoDB and KMS that throttle, stall, lose answers and answer late, killed at random,
// lose no credential that a client got, and double none.
func TestSoakFunctions(t *testing.T) {
	shared := worldtest.SharedCloud(t)
	t.Parallel()
	c := &cloud{t: t, World: worldtest.OnStack(t)}
	c.Apply(rules)
	c.dynamo = proxy(t, shared.DynamoDB.URL())
	c.kms = proxy(t, shared.Moto.URL())
	for i := range c.functions {
		if c.begin(i); t.Failed() {
			return
		}
		t.Cleanup(func() { c.functions[i].Load().Stop() })
	}
	gateway := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(gateway.Close)

	l := startLoad(t, c.Issuer, nil, func() string { return gateway.URL }, 3, 50*time.Millisecond)
	inTurns(l, cloudFaults, c)
	l.stop()
	l.settle(10)
	l.summary(l.compare(c.Ctl("joins", "export"), c.Stack.Store))
}

func proxy(t *testing.T, endpoint string) *awstest.Proxy {
	t.Helper()
	p, err := awstest.NewProxy(endpoint)
	worldtest.Must(t, err)
	t.Cleanup(p.Close)
	return p
}

// serve is what API Gateway and Lambda do: the environments take turns, and in the place of one whose function
// ended there is another with the next event.
func (c *cloud) serve(w http.ResponseWriter, r *http.Request) {
	i := c.next.Add(1) % environments
	function := c.functions[i].Load()
	answer := httptest.NewRecorder()
	awstest.Gateway(function).ServeHTTP(answer, r)
	if answer.Code == http.StatusBadGateway {
		c.replace(int(i), function)
	}
	awstest.Replay(answer, w)
}

// while has one in so many requests, at random, come to a fault for a while.
func (c *cloud) while(p *awstest.Proxy, oneIn int, f awstest.Fault) {
	p.Set(func(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		if rand.IntN(oneIn) == 0 {
			f(r, w, forward)
		} else {
			forward(w)
		}
	})
	time.Sleep(700*time.Millisecond + rand.N(600*time.Millisecond))
	p.Set(nil)
}

// kill kills a function in the middle of whatever it does.
func (c *cloud) kill() {
	c.t.Helper()
	i := rand.IntN(environments)
	function := c.functions[i].Load()
	if pid := function.PID(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	c.replace(i, function)
}

// replace puts another environment in the place of one, unless that was done already: the emulator starts no
// function twice.
func (c *cloud) replace(i int, before *awstest.Emulator) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.functions[i].Load() == before {
		c.begin(i)
		before.Stop()
	}
}

// begin starts the function in an environment.
func (c *cloud) begin(i int) {
	c.t.Helper()
	function, err := c.Stack.StartFunction("join", "AWS_ENDPOINT_URL_DYNAMODB="+c.dynamo.URL(), "AWS_ENDPOINT_URL_KMS="+c.kms.URL())
	if err != nil {
		c.t.Error(err)
		return
	}
	c.functions[i].Store(function)
}
