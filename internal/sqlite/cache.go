package sqlite

import (
	"sync"

	"github.com/gatepass-ci/gatepass/internal/store"
)

// maxCached is how many decoded rows of a kind of value are kept.
const maxCached = 4096

// cache keeps what was decoded of the table resources, by revision, so that what has
// not changed costs the read of its row and no decoding. It never decides what is
// current: the row's revision does, and no revision is ever used twice.
type cache[T any] struct {
	mu      sync.RWMutex
	entries map[store.Key]cached[T]
}

type cached[T any] struct {
	revision string
	value    T
}

// get returns what is known of a row, with an empty revision if nothing is.
func (c *cache[T]) get(key store.Key) cached[T] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key]
}

func (c *cache[T]) put(key store.Key, revision string, value T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[store.Key]cached[T])
	}
	if _, known := c.entries[key]; !known && len(c.entries) >= maxCached {
		for other := range c.entries { // any one: the order of a map is random
			delete(c.entries, other)
			break
		}
	}
	c.entries[key] = cached[T]{revision, value}
}
