package concurrency

import (
	"sync/atomic"
	"time"
)

// usual is how long an upstream takes of late: the mean of its first calls, and
// from then on an average that forgets. The zero value knows nothing. It is safe
// for concurrent use.
type usual struct {
	took  atomic.Int64 // ns
	calls atomic.Int64 // counted up to usualCalls
}

// usualCalls is how many calls the average looks back on.
const usualCalls = 8

// get returns 0 while nothing is known.
func (u *usual) get() time.Duration { return time.Duration(u.took.Load()) }

// add takes in a call. The first ones count in full: one that began at nothing
// would let requests wait that have no time left for their call.
func (u *usual) add(took time.Duration) {
	n := u.calls.Load()
	if n < usualCalls {
		n = u.calls.Add(1)
	}
	n = min(n, usualCalls)
	for {
		was := u.took.Load()
		if u.took.CompareAndSwap(was, was+(int64(took)-was)/n) {
			return
		}
	}
}
