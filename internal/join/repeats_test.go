package join

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// TestTheCountsOfRefusalsAreBounded: a kind more takes the place of another, first of one whose
// minute is over.
func TestTheCountsOfRefusalsAreBounded(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	refusal := func(n int, at time.Duration) store.Record {
		return store.Record{IDToken: fmt.Sprint(n), Token: "example", Code: "not_allowed", Time: start.Add(at)}
	}
	var c refusals
	c.note(refusal(0, 0))
	for n := 1; n < maxRefusalKinds; n++ {
		c.note(refusal(n, time.Second))
	}
	if len(c.kinds) != maxRefusalKinds {
		t.Fatalf("%d kinds are kept, want %d", len(c.kinds), maxRefusalKinds)
	}
	c.note(refusal(maxRefusalKinds, refusalWindow)) // the minute of the first alone is over
	if _, there := c.kinds[kindOf(refusal(0, 0))]; there || len(c.kinds) != maxRefusalKinds {
		t.Errorf("%d kinds are kept, the oldest %t", len(c.kinds), there)
	}
	for n := range 100 {
		c.note(refusal(maxRefusalKinds+1+n, refusalWindow))
		if _, there := c.kinds[kindOf(refusal(maxRefusalKinds+1+n, 0))]; !there || len(c.kinds) > maxRefusalKinds {
			t.Fatalf("%d kinds are kept, the newest %t", len(c.kinds), there)
		}
	}
	c.note(refusal(-1, 3*refusalWindow)) // all others are over
	if len(c.kinds) != 1 {
		t.Errorf("%d kinds are kept, want the one of this minute", len(c.kinds))
	}
}
