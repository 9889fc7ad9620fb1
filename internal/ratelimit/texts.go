package ratelimit

import (
	"math/rand/v2"
	"sync/atomic"
)

// texts remember the RateLimit fields that were made last: buckets that are
// nearly full, as most are, say the same again and again. They are safe for
// concurrent use.
type texts [256]atomic.Pointer[text]

// text is the field of a bucket with so much left. It does not change.
type text struct {
	remaining, reset int64
	field            string
}

// field returns the one of f with so much left.
func (ts *texts) field(f *fields, remaining, reset int64) string {
	// Neighbours, which come one after the other, have slots of their own.
	slot := &ts[uint64(remaining+reset*31)%uint64(len(ts))]
	have := slot.Load()
	if have != nil && have.remaining == remaining && have.reset == reset {
		return have.field
	}
	field := f.member(";r=", remaining, ";t=", reset)
	// What is said again and again gets in soon; what a bucket says once, while it
	// is spent, is not worth the memory.
	if have == nil || rand.Uint32()%8 == 0 {
		slot.Store(&text{remaining, reset, field})
	}
	return field
}
