package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/awstest"
	"github.com/gatepass-ci/gatepass/pkg/api"
)

// timed is what was seen of joins of one kind.
type timed struct {
	took, cpu, connections []float64
	began, ended, units    map[string][]float64 // of a remote call; times are in ms after the join was asked for
}

func newTimed() *timed {
	return &timed{began: map[string][]float64{}, ended: map[string][]float64{}, units: map[string][]float64{}}
}

// remote times joins, and each remote call of them: the first of a start, and later ones.
func (f *functions) remote() error {
	f.setFault(f.noting(answer{}))
	cold, warm := newTimed(), newTimed()
	for range f.size.starts {
		function, err := f.start()
		if err != nil {
			return err
		}
		for i := range 3 {
			of := warm
			if i == 0 {
				of = cold
			}
			if err := f.timeJoin(function, of); err != nil {
				function.Stop()
				return err
			}
		}
		function.Stop()
	}
	f.addTimed("join, cold", cold)
	f.addTimed("join, warm", warm)
	return nil
}

// timeJoin joins once and adds what was seen.
func (f *functions) timeJoin(function *awstest.Emulator, to *timed) error {
	bodies, err := f.mint(1)
	if err != nil {
		return err
	}
	f.calls.take()
	before, opened := 0.0, f.dynamo.Connections()+f.kms.Connections()
	if pid := function.PID(); pid != 0 {
		if before, err = busy(pid); err != nil {
			return err
		}
	}
	began := time.Now()
	took, err := f.ask(function, http.MethodPost, api.PathJoin, bodies[0])
	if err != nil {
		return err
	}
	after, err := busy(function.PID())
	if err != nil {
		return err
	}
	to.took, to.cpu = append(to.took, took), append(to.cpu, after-before)
	to.connections = append(to.connections, float64(f.dynamo.Connections()+f.kms.Connections()-opened))
	for _, c := range f.calls.take() {
		to.began[c.name] = append(to.began[c.name], ms(c.began.Sub(began)))
		to.units[c.name] = append(to.units[c.name], c.units)
		to.ended[c.name] = append(to.ended[c.name], ms(c.ended.Sub(began)))
	}
	return nil
}

// addTimed adds the lines of joins: the calls in the order in which they begin.
func (f *functions) addTimed(how string, t *timed) {
	f.table.add(f.part, how+": a join", median(t.took), "ms", nil)
	f.table.add(f.part, how+": CPU a join", median(t.cpu), "ms", nil)
	f.table.add(f.part, how+": new connections", median(t.connections), "a join", nil)
	names := slices.SortedFunc(maps.Keys(t.began), func(a, b string) int { return cmp.Compare(median(t.began[a]), median(t.began[b])) })
	calls := 0.0
	for _, name := range names {
		calls += float64(len(t.began[name])) / float64(len(t.took))
	}
	f.table.add(f.part, how+": remote calls", calls, "a join", nil)
	for _, name := range names {
		f.table.add(f.part, how+": "+name, median(t.began[name]), "ms, begins", nil)
		f.table.add(f.part, how+": "+name, median(t.ended[name]), "ms, ends", nil)
		if units := median(t.units[name]); units > 0 {
			f.table.add(f.part, how+": "+name, units, "units of DynamoDB", nil)
		}
	}
}

// busy is the processor time of a process's threads in ms, from schedstat, whose unit is 1 ns.
func busy(pid int) (float64, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if err != nil {
			continue // a thread that has ended
		}
		on, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseFloat(on, 64)
		if err != nil {
			return 0, err
		}
		sum += ns / 1e6
	}
	return sum, nil
}

// lateness is by how much calls are delayed to count those that wait for another: whatever else
// a join does takes less.
const lateness = 300 * time.Millisecond

// hops counts the calls of a join that come one after another: of a warm one, and of a start's
// first. That one counts what it waits for, and what was read while the function started.
func (f *functions) hops() error {
	f.setFault(f.noting(answer{later: lateness}))
	function, err := f.start()
	if err != nil {
		return err
	}
	defer function.Stop()
	for _, how := range []string{"cold", "warm"} {
		f.calls.take()
		if _, err := f.joinOnce(function); err != nil {
			return err
		}
		f.table.add(f.part, "join, "+how+": remote calls one after another", float64(chain(f.calls.take())), "hops", atMost(4))
	}
	return nil
}

func (f *functions) setFault(fault awstest.Fault) {
	f.dynamo.Set(fault)
	f.kms.Set(fault)
}

// call is a remote call, as a proxy saw it.
type call struct {
	name         string // such as "Query lock"
	began, ended time.Time
	units        float64 // of DynamoDB
}

// calls collects calls.
type calls struct {
	mu   sync.Mutex
	list []call
}

// answer is how a call is answered: it takes at least so long, or so much longer.
type answer struct{ least, later time.Duration }

// noting is a fault that forwards a request and notes it.
func (f *functions) noting(a answer) awstest.Fault {
	return func(r awstest.Request, w http.ResponseWriter, forward func(http.ResponseWriter)) {
		began := time.Now()
		forwarded := httptest.NewRecorder()
		forward(forwarded)
		time.Sleep(max(a.later, a.least-time.Since(began)))
		awstest.Replay(forwarded, w)
		f.calls.mu.Lock()
		defer f.calls.mu.Unlock()
		f.calls.list = append(f.calls.list, call{f.nameOf(r), began, time.Now(), units(forwarded.Body.Bytes())})
	}
}

// units are what DynamoDB counts for a call, as it says itself; 0 for KMS.
func units(answer []byte) (sum float64) {
	type consumed struct{ CapacityUnits float64 }
	var one struct{ ConsumedCapacity consumed }
	var several struct{ ConsumedCapacity []consumed } // of a batch, for each table
	if json.Unmarshal(answer, &one) == nil {
		return one.ConsumedCapacity.CapacityUnits
	}
	_ = json.Unmarshal(answer, &several)
	for _, c := range several.ConsumedCapacity {
		sum += c.CapacityUnits
	}
	return sum
}

// nameOf is what a remote call is about: its operation and the kind of item, or the authority.
func (f *functions) nameOf(r awstest.Request) string {
	operation := strings.TrimPrefix(r.Operation, "TrentService.")
	if id, ok := r.Body["KeyId"].(string); ok {
		for purpose, key := range f.stack.Keys {
			if key == id {
				return operation + " " + string(purpose)
			}
		}
	}
	if batch, ok := r.Body["RequestItems"].(map[string]any); ok {
		for _, request := range batch {
			keys, _ := request.(map[string]any)["Keys"].([]any)
			return operation + " " + about(keys[0])
		}
	}
	for _, field := range []string{"Key", "Item", "ExpressionAttributeValues"} {
		if what := about(r.Body[field]); what != "" {
			return operation + " " + what
		}
	}
	return operation
}

// about is the kind of item that a key names.
func about(attributes any) string {
	values, _ := attributes.(map[string]any)
	for _, name := range []string{"kind", "pk", ":kind", "issuer"} {
		value, _ := values[name].(map[string]any)
		text, ok := value["S"].(string)
		switch kind, _, _ := strings.Cut(text, "/"); {
		case !ok:
		case name == "issuer":
			return "key set"
		case kind == "certificate": // one for each authority
			return text
		default:
			return kind
		}
	}
	return ""
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
