package validation

import "sync/atomic"

// Buffers counts the bytes of bodies that are held in memory at once under one
// policy, and bounds them. It is safe for concurrent use.
type Buffers struct {
	limit int64
	used  atomic.Int64
}

// NewBuffers returns Buffers that hold at most as many bytes as c says.
func NewBuffers(c Config) *Buffers { return &Buffers{limit: int64(c.MaxBuffered)} }

// Used returns how many bytes are held just now.
func (b *Buffers) Used() int64 { return b.used.Load() }

// take reports whether n more bytes may be held.
func (b *Buffers) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *Buffers) give(n int64) { b.used.Add(-n) }

// share is what one body has taken.
type share struct {
	buffers *Buffers
	n       atomic.Int64
}

func (s *share) take(n int64) bool {
	if !s.buffers.take(n) {
		return false
	}
	s.n.Add(n)
	return true
}

// free gives everything back. It may be called more than once.
func (s *share) free() { s.buffers.give(s.n.Swap(0)) }
