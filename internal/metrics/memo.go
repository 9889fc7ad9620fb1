package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// memo keeps the handle of each series, so that a request pays for one map
// lookup and not for the hashing of labels. Reading takes no lock and no
// memory; a new key copies the map, which is rare because keys are few.
type memo[K comparable, V any] struct {
	make func(K) V // must be set before the first use

	known atomic.Pointer[map[K]V]
	mu    sync.Mutex // held while known is replaced
}

func (c *memo[K, V]) get(k K) V {
	if m := c.known.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
	}
	return c.add(k)
}

func (c *memo[K, V]) add(k K) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.all()
	if v, ok := old[k]; ok {
		return v
	}
	grown := make(map[K]V, len(old)+1)
	maps.Copy(grown, old)
	v := c.make(k)
	grown[k] = v
	c.known.Store(&grown)
	return v
}

// retain forgets every key that keep does not hold, and calls forgotten for
// each before anybody can make it anew.
func (c *memo[K, V]) retain(keep func(K) bool, forgotten func(K)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := make(map[K]V)
	for k, v := range c.all() {
		if keep(k) {
			kept[k] = v
		}
	}
	old := c.all()
	c.known.Store(&kept)
	for k := range old {
		if !keep(k) {
			forgotten(k)
		}
	}
}

func (c *memo[K, V]) all() map[K]V {
	if m := c.known.Load(); m != nil {
		return *m
	}
	return nil
}
