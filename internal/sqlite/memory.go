package sqlite

import "sync"

// maxInMemory bounds what is kept of one kind of value, in bytes as stored. Decoded it
// takes a few times that.
const maxInMemory = 4 << 20

// memory keeps what was read of the table resources. What is in it is current as long as
// the table's changes are as many as when it was read: see changes.
type memory[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]remembered[V]
	size    int // of all entries, in bytes as stored
}

// remembered is a value that was read when the table had so many changes, or later.
type remembered[V any] struct {
	value   V
	changes int64 // never 0: that is an entry that is not there
	size    int
}

// get returns what is known under a key; its changes are 0 if nothing is.
func (m *memory[K, V]) get(key K) remembered[V] {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.entries[key]
}

// put keeps an entry, unless it is too large, and makes room for it.
func (m *memory[K, V]) put(key K, e remembered[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(key)
	if e.size > maxInMemory {
		return
	}
	for other := range m.entries { // any one: the order of a map is random
		if m.size+e.size <= maxInMemory {
			break
		}
		m.remove(other)
	}
	if m.entries == nil {
		m.entries = make(map[K]remembered[V])
	}
	m.entries[key] = e
	m.size += e.size
}

func (m *memory[K, V]) remove(key K) {
	m.size -= m.entries[key].size
	delete(m.entries, key)
}
