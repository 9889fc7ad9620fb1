package metrics

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// memo keeps the handle of each series, so that a request does not pay for the
// hashing of labels. Reading takes no lock and no memory; a new key copies all,
// which is rare because keys are few.
type memo[K comparable, V any] struct {
	make func(K) V // must be set before the first use
	most int       // about so many are kept, and of others the zero V is returned; 0: all are

	known atomic.Pointer[known[K, V]]
	mu    sync.Mutex // held while known is replaced
}

// known is what a memo holds. It never changes.
type known[K comparable, V any] struct {
	// first are those that came first, and so are mostly the ones that come
	// again. To compare a key with a few is less than to hash it: its texts are
	// mostly the very same ones, which needs no look at their bytes.
	first []entry[K, V]
	all   map[K]V
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// fewFirst is how many keys are compared before one is hashed.
const fewFirst = 16

// get returns the handle of k.
func (c *memo[K, V]) get(k K) V {
	v, _ := c.find(k, 0)
	return v
}

// find is get for who asks for several in a row, which mostly come in the same
// order: the first time with 0, then with the place that was returned.
func (c *memo[K, V]) find(k K, place int) (v V, next int) {
	now := c.known.Load()
	if now == nil {
		return c.add(k), 0
	}
	for range now.first {
		if place >= len(now.first) {
			place = 0
		}
		e := &now.first[place]
		place++
		if e.key == k {
			return e.value, place
		}
	}
	if len(now.all) > len(now.first) {
		if v, ok := now.all[k]; ok {
			return v, place
		}
	}
	if c.most > 0 && len(now.all) >= c.most {
		return v, place
	}
	return c.add(k), place
}

func (c *memo[K, V]) add(k K) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.held()
	if v, ok := old.all[k]; ok {
		return v
	}
	v := c.make(k)
	grown := &known[K, V]{slices.Clone(old.first), make(map[K]V, len(old.all)+1)}
	maps.Copy(grown.all, old.all)
	grown.put(k, v)
	c.known.Store(grown)
	return v
}

// put adds k, before anybody else holds n.
func (n *known[K, V]) put(k K, v V) {
	n.all[k] = v
	if len(n.first) < fewFirst {
		n.first = append(n.first, entry[K, V]{k, v})
	}
}

// retain forgets every key that keep does not hold, and calls forgotten for
// each before anybody can make it anew.
func (c *memo[K, V]) retain(keep func(K) bool, forgotten func(K)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.held()
	kept := &known[K, V]{all: make(map[K]V)}
	for k, v := range old.all {
		if keep(k) {
			kept.put(k, v)
		}
	}
	c.known.Store(kept)
	for k := range old.all {
		if !keep(k) {
			forgotten(k)
		}
	}
}

func (c *memo[K, V]) held() *known[K, V] {
	if now := c.known.Load(); now != nil {
		return now
	}
	return &known[K, V]{}
}
