package join

import (
	"sync"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

const (
	// wholeRefusals is how many refusals of one ID token, rule and code are recorded
	// whole in a minute. Further ones are counted, or one valid ID token that is sent
	// again and again fills the disk. docs/decisions/0029-counted-refusals.md.
	wholeRefusals = 5
	refusalWindow = time.Minute
	// maxRefusalKinds bounds the memory for counts. The count of a kind that makes room
	// begins again with whole records: no refusal is lost by it.
	maxRefusalKinds = 4096
)

// refusals counts those that are like others of the last minute. It is safe for
// concurrent use.
type refusals struct {
	mu    sync.Mutex
	kinds map[refusalKind]*refusalCount
}

// refusalKind is what refusals have in common that are counted together.
type refusalKind struct{ idToken, token, code string }

func kindOf(r store.Record) refusalKind { return refusalKind{r.IDToken, r.Token, r.Code} }

type refusalCount struct {
	since   time.Time
	whole   int           // how many were recorded whole
	counted *store.Record // the record that has the count; nil before there is one
}

// note counts a refusal and returns what to store of it: the record itself, whole; the
// record that has the count; or nothing, if the count that is stored says enough. That
// is written whenever the count has doubled, so that it needs no clock, costs next to
// nothing, and what is stored is never too high and more than half.
func (c *refusals) note(r store.Record) (toStore store.Record, write bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := kindOf(r)
	known := c.kinds[kind]
	if known == nil || r.Time.Sub(known.since).Abs() >= refusalWindow {
		known = &refusalCount{since: r.Time}
		c.keep(kind, known)
	}
	switch {
	case known.whole < wholeRefusals:
		known.whole++
		return r, true
	case known.counted == nil:
		r.Repeated = 1
		counted := withoutClaims(r)
		known.counted = &counted
	default:
		known.counted.Repeated++
	}
	return *known.counted, isPowerOfTwo(known.counted.Repeated)
}

// failed takes back what note counted of a refusal whose record could not be stored:
// the next one of its kind is stored in its place.
func (c *refusals) failed(stored store.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.kinds[kindOf(stored)]
	switch {
	case known == nil:
	case stored.Repeated == 0 && known.counted == nil:
		known.whole--
	case stored.Repeated == 1 && known.counted != nil && known.counted.JoinID == stored.JoinID:
		known.counted = nil
	}
}

// keep makes room if there is none: what is of a minute that is over goes first.
func (c *refusals) keep(kind refusalKind, count *refusalCount) {
	if c.kinds == nil {
		c.kinds = make(map[refusalKind]*refusalCount)
	}
	if len(c.kinds) >= maxRefusalKinds {
		for other, known := range c.kinds {
			if count.since.Sub(known.since).Abs() >= refusalWindow {
				delete(c.kinds, other)
			}
		}
	}
	for other := range c.kinds { // any one: the order of a map is random
		if len(c.kinds) < maxRefusalKinds {
			break
		}
		delete(c.kinds, other)
	}
	c.kinds[kind] = count
}

// withoutClaims is a record without what may be long, which the records before have.
func withoutClaims(r store.Record) store.Record {
	r.Claims, r.Mismatches, r.MismatchesLeftOut, r.Client = nil, nil, 0, nil
	return r
}

func isPowerOfTwo(n int) bool { return n&(n-1) == 0 }
