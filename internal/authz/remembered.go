package authz

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// digest tells apart what is remembered. It is cryptographic: with anything
// less, one token could be made to pass for another.
type digest [sha256.Size]byte

// digestOf returns the hash of text.
func digestOf(text string) digest {
	buffer := digestBuffers.Get().(*[]byte)
	defer digestBuffers.Put(buffer)
	*buffer = append((*buffer)[:0], text...)
	d := digest(sha256.Sum256(*buffer))
	clear(*buffer)
	return d
}

var digestBuffers = sync.Pool{New: func() any { return new([]byte) }}

// remembered keeps what was found out, by the hash of what it was found out
// about. It is bounded and safe for concurrent use. Nothing runs for it, so it
// goes with the policy that has it.
type remembered[V any] struct {
	kept *otter.Cache[digest, memory[V]]
}

type memory[V any] struct {
	value V
	size  int
	until time.Time
}

// newRemembered returns one whose sizes sum up to most, about.
func newRemembered[V any](most int) *remembered[V] {
	return &remembered[V]{otter.Must(&otter.Options[digest, memory[V]]{
		MaximumWeight: uint64(most),
		Weigher:       func(_ digest, m memory[V]) uint32 { return uint32(m.size) },
	})}
}

func (r *remembered[V]) get(d digest) (V, bool) {
	m, ok := r.kept.GetIfPresent(d)
	return m.value, ok && time.Now().Before(m.until)
}

// put keeps v, of that size, until it is over.
func (r *remembered[V]) put(d digest, v V, size int, until time.Time) {
	if time.Now().Before(until) {
		r.kept.Set(d, memory[V]{v, size, until})
	}
}
