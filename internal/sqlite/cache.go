package sqlite

import (
	"sync"

	"github.com/gatepass-ci/gatepass/internal/store"
	"github.com/gatepass-ci/gatepass/pkg/rules"
)

// maxCached is how many decoded resources are kept.
const maxCached = 4096

// cache keeps decoded resources by revision, so that one that has not changed
// costs the read of its row and no decoding. It never decides what is current:
// the row's revision does, and no revision is ever used twice.
type cache struct {
	mu      sync.RWMutex
	entries map[store.Key]cached
}

type cached struct {
	revision string
	resource rules.Resource
}

// get returns what is known of a resource, with an empty revision if nothing is.
func (c *cache) get(key store.Key) cached {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key]
}

func (c *cache) put(key store.Key, value cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[store.Key]cached)
	}
	if _, known := c.entries[key]; !known && len(c.entries) >= maxCached {
		for other := range c.entries { // any one: the order of a map is random
			delete(c.entries, other)
			break
		}
	}
	c.entries[key] = value
}
