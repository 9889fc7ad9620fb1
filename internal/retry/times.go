package retry

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Times knows how long answers took of late, for hedges that wait for a
// percentile of it. It looks back over half a minute to a whole one, survives
// reloads and is safe for concurrent use.
//
// What it tells is never below the percentile of the times that it was told,
// and at most a sixteenth above it, or 66µs; it is worked out once a second.
type Times struct {
	percentile uint64
	begun      time.Time

	counts [2][timeBuckets]atomic.Uint32 // of one half of the window each
	now    atomic.Int32                  // which half is being filled
	due    atomic.Int64                  // when to look again, since begun
	found  atomic.Int64                  // by the last look; 0: too little is known

	mu    sync.Mutex // held by the one who looks; guards turns
	turns int64      // halves begun
}

const (
	halfWindow  = 30 * time.Second
	lookEvery   = time.Second
	enoughTimes = 100

	// Buckets are 1<<timeUnit nanoseconds wide up to 32 of them, and from there
	// on sixteen to each doubling, up to about half an hour.
	timeUnit    = 16
	timeBuckets = 352
)

// NewTimes returns Times that know nothing yet, for a percentile of 1 to 99.
func NewTimes(percentile int) *Times {
	return &Times{percentile: uint64(percentile), begun: time.Now()}
}

// add tells t of an answer that took d.
func (t *Times) add(d time.Duration) {
	t.counts[t.now.Load()][bucketOf(d)].Add(1)
}

// get returns the percentile, if enough is known.
func (t *Times) get() (time.Duration, bool) {
	now := time.Since(t.begun)
	if int64(now) >= t.due.Load() && t.mu.TryLock() {
		t.look(now)
		t.mu.Unlock()
	}
	d := time.Duration(t.found.Load())
	return d, d > 0
}

// look works out what get tells. t.mu is held.
func (t *Times) look(now time.Duration) {
	t.due.Store(int64(now + lookEvery))
	for half := int64(now / halfWindow); t.turns < half; {
		t.turns = max(t.turns+1, half-1) // two forget all there is
		next := t.turns % 2
		for i := range t.counts[next] {
			t.counts[next][i].Store(0)
		}
		t.now.Store(int32(next))
	}
	var sums [timeBuckets]uint64
	var all uint64
	for i := range sums {
		sums[i] = uint64(t.counts[0][i].Load()) + uint64(t.counts[1][i].Load())
		all += sums[i]
	}
	if all < enoughTimes {
		t.found.Store(0)
		return
	}
	rank := (all*t.percentile + 99) / 100
	for i, n := range sums {
		if n >= rank {
			t.found.Store(int64(end(i)))
			return
		}
		rank -= n
	}
}

// bucketOf returns the number of the bucket that d falls into.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0)) >> timeUnit
	e := max(bits.Len64(v)-5, 0)
	return min(e*16+int(v>>e), timeBuckets-1)
}

// end returns where bucket i ends.
func end(i int) time.Duration {
	e := max(i/16-1, 0)
	return time.Duration(i-e*16+1) << e << timeUnit
}
