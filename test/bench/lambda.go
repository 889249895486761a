package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/internal/worldtest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// functions is a stack on stand-ins for AWS, with proxies that note each remote call of join.
type functions struct {
	*bench
	cloud       *worldtest.Cloud
	stack       *worldtest.Stack
	dynamo, kms *awstest.Proxy
	calls       calls
}

// lambda measures the functions under Lambda's runtime interface emulator, with DynamoDB Local and
// moto's KMS: what a remote call takes is theirs, and says how calls compare.
func (b *bench) lambda() error {
	cloud, err := worldtest.StartCloud()
	if err != nil {
		return err
	}
	defer cloud.Stop()
	f := &functions{bench: b, cloud: cloud}
	if f.stack, err = cloud.NewStack(b.ctx, "bench"); err != nil {
		return err
	}
	defer f.stack.Close()
	if f.dynamo, err = awstest.NewProxy(cloud.DynamoDB.URL()); err != nil {
		return err
	}
	defer f.dynamo.Close()
	if f.kms, err = awstest.NewProxy(cloud.Moto.URL()); err != nil {
		return err
	}
	defer f.kms.Close()
	if err := b.prepare(cloud.Env(), "--stack", f.stack.Name); err != nil {
		return err
	}
	for _, measure := range []func() error{f.sizes, f.firstAnswer, f.refresher, f.remote, f.hops} {
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// sizes are those of the functions as SAM packs them.
func (f *functions) sizes() error {
	for _, name := range []string{"join", "jwks-refresh"} {
		bootstrap, err := f.cloud.Function(name)
		if err != nil {
			return err
		}
		mb, err := zipped(bootstrap)
		if err != nil {
			return err
		}
		f.table.add("lambda", name+": zip", mb, "MB", atMost(12))
	}
	return nil
}

// zipped is the size of a file in a zip, in MB.
func zipped(file string) (float64, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("bootstrap")
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(content); err != nil {
		return 0, err
	}
	return float64(packed.Len()) / 1e6, z.Close()
}

// start starts the function join, which makes its remote calls through the proxies.
func (f *functions) start() (*awstest.Emulator, error) {
	return f.stack.StartFunction("join", "AWS_ENDPOINT_URL_DYNAMODB="+f.dynamo.URL(), "AWS_ENDPOINT_URL_KMS="+f.kms.URL())
}

// ask sends a request as API Gateway would hand it over, and says how long the answer took.
func (f *functions) ask(function *awstest.Emulator, method, path string, body []byte) (took float64, err error) {
	r := httptest.NewRequestWithContext(f.ctx, method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	began := time.Now()
	awstest.Gateway(function).ServeHTTP(w, r)
	took = ms(time.Since(began))
	if w.Code != http.StatusOK {
		return 0, fmt.Errorf("%s %s was answered %d: %s", method, path, w.Code, w.Body)
	}
	return took, nil
}

// joinOnce joins by a function.
func (f *functions) joinOnce(function *awstest.Emulator) (took float64, err error) {
	bodies, err := f.mint(1)
	if err != nil {
		return 0, err
	}
	return f.ask(function, http.MethodPost, api.PathJoin, bodies[0])
}

// joins20 is how many joins come before a function's memory is measured, and how many are timed.
const joins20 = 20

// firstAnswer is a cold start of join, as its caller sees it, and its memory.
func (f *functions) firstAnswer() error {
	var took []float64
	for range f.size.starts {
		function, err := f.start()
		if err != nil {
			return err
		}
		first, err := f.ask(function, http.MethodGet, api.PathHealth, nil)
		function.Stop()
		if err != nil {
			return err
		}
		took = append(took, first)
	}
	f.table.add("lambda", "join: start to first answer", median(took), "ms", atMost(25))
	function, err := f.start()
	if err != nil {
		return err
	}
	defer function.Stop()
	for range joins20 {
		if _, err := f.joinOnce(function); err != nil {
			return err
		}
	}
	mib, err := resident(function.PID())
	if err != nil {
		return err
	}
	f.table.add("lambda", fmt.Sprintf("join: resident after %d joins", joins20), mib, "MiB", atMost(40))
	return nil
}

// refresher is a cold start of jwks-refresh, which looks which issuers there are: one, pinned.
func (f *functions) refresher() error {
	var took []float64
	var mib float64
	for range f.size.starts {
		function, err := f.stack.StartFunction("jwks-refresh")
		if err != nil {
			return err
		}
		began := time.Now()
		_, err = function.Invoke(f.ctx, []byte("{}"))
		took = append(took, ms(time.Since(began)))
		if err == nil {
			mib, err = resident(function.PID())
		}
		function.Stop()
		if err != nil {
			return err
		}
	}
	f.table.add("lambda", "jwks-refresh: start to first answer", median(took), "ms", nil)
	f.table.add("lambda", "jwks-refresh: resident", mib, "MiB", nil)
	return nil
}

// remote times joins, and each remote call of them: the first of a start, and later ones.
func (f *functions) remote() error {
	f.setFault(f.calls.noting(0))
	var cold, warm []float64
	coldCalls, warmCalls := map[string][]float64{}, map[string][]float64{}
	for range f.size.starts {
		function, err := f.start()
		if err != nil {
			return err
		}
		for i := range 3 {
			f.calls.take()
			took, err := f.joinOnce(function)
			if err != nil {
				function.Stop()
				return err
			}
			to, calls := &warm, warmCalls
			if i == 0 {
				to, calls = &cold, coldCalls
			}
			*to = append(*to, took)
			for _, c := range f.calls.take() {
				calls[c.operation] = append(calls[c.operation], ms(c.ended.Sub(c.began)))
			}
		}
		function.Stop()
	}
	f.addRemote("cold", cold, coldCalls)
	f.addRemote("warm", warm, warmCalls)
	return nil
}

func (f *functions) addRemote(how string, took []float64, calls map[string][]float64) {
	f.table.add("lambda", "join, "+how+": a join", median(took), "ms", nil)
	for _, operation := range slices.Sorted(maps.Keys(calls)) {
		name := "join, " + how + ": " + operation
		f.table.add("lambda", name, float64(len(calls[operation]))/float64(len(took)), "calls a join", nil)
		f.table.add("lambda", name, median(calls[operation]), "ms a call", nil)
	}
}

// lateness is by how much calls are delayed to count those that wait for another: whatever else
// a join does takes less.
const lateness = 300 * time.Millisecond

// hops counts the calls of a warm join that come one after another.
func (f *functions) hops() error {
	function, err := f.start()
	if err != nil {
		return err
	}
	defer function.Stop()
	if _, err := f.joinOnce(function); err != nil {
		return err
	}
	f.setFault(f.calls.noting(lateness))
	f.calls.take()
	if _, err := f.joinOnce(function); err != nil {
		return err
	}
	f.table.add("lambda", "join, warm: remote calls one after another", float64(chain(f.calls.take())), "hops", atMost(4))
	return nil
}

func (f *functions) setFault(fault awstest.Fault) {
	f.dynamo.Set(fault)
	f.kms.Set(fault)
}

// call is a remote call, as a proxy saw it.
type call struct {
	operation    string
	began, ended time.Time
}

// calls collects calls.
type calls struct {
	mu   sync.Mutex
	list []call
}

// noting is a fault that forwards a request, answers it so much later, and notes it.
func (c *calls) noting(later time.Duration) awstest.Fault {
	return func(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		began := time.Now()
		if later > 0 {
			awstest.Late(later)(r, w, forward)
		} else {
			forward(w)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		operation := strings.TrimPrefix(r.Operation, "TrentService.")
		c.list = append(c.list, call{operation, began, time.Now()})
	}
}

// take returns the calls since the last time.
func (c *calls) take() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// chain is how many of the calls began after another had ended: the most that do not overlap.
func chain(list []call) (n int) {
	slices.SortFunc(list, func(a, b call) int { return a.ended.Compare(b.ended) })
	var last time.Time
	for _, c := range list {
		if !c.began.Before(last) {
			n, last = n+1, c.ended
		}
	}
	return n
}
