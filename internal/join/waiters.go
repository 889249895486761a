package join

import (
	"fmt"
	"sync"
)

// Bounds of the requests that wait for an issuer's keys at one time. Each holds its
// connection and its body for as long as the issuer takes, and anyone can send one that
// must wait: an ID token that names a key nobody has.
const (
	maxWaiters       = 128 // in all
	maxIssuerWaiters = 32  // for one issuer, so that a slow one leaves places to the others
)

// waiters counts the requests that wait for keys. The zero value is ready for use, by any
// number of goroutines.
type waiters struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by issuer; no entry is 0
}

// wait takes a place and returns what gives it back. Without a free place the request is
// refused at once, with the time to come back.
func (w *waiters) wait(issuer string) (done func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= maxWaiters || w.of[issuer] >= maxIssuerWaiters {
		return nil, keysUnavailable(fmt.Errorf("%d requests wait for the keys of %s, and %d for keys in all", w.of[issuer], issuer, w.all))
	}
	if w.of == nil {
		w.of = map[string]int{}
	}
	w.all++
	w.of[issuer]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all--
		if w.of[issuer]--; w.of[issuer] == 0 {
			delete(w.of, issuer)
		}
	}, nil
}
