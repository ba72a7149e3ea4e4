package engine

import (
	"maps"
	"slices"
	"sync"
)

// table is a map that the reader and the runs may use at once.
type table[K comparable, V any] struct {
	mutex   sync.Mutex
	entries map[K]V
}

func newTable[K comparable, V any]() *table[K, V] {
	return &table[K, V]{entries: map[K]V{}}
}

func (t *table[K, V]) get(key K) (V, bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	value, ok := t.entries[key]
	return value, ok
}

func (t *table[K, V]) put(key K, value V) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.entries[key] = value
}

func (t *table[K, V]) remove(key K) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.entries, key)
}

func (t *table[K, V]) size() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return len(t.entries)
}

func (t *table[K, V]) values() []V {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return slices.Collect(maps.Values(t.entries))
}
