package ratelimit

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// Buckets are the buckets of one policy in this process. They outlive the
// policy's Limiters: a reload that leaves the policy as it is hands them on.
// They are safe for concurrent use.
type Buckets struct {
	start time.Time // what buckets count from; its monotonic clock is never set back
	fresh func() bucket

	one    bucket                    // of all requests, if there is no key
	cells  *otter.Cache[key, bucket] // nil then
	recent recent                    // those of cells that were asked for last
	turns  atomic.Int64              // requests that wait for a turn that a store gave them
}

// bucket is what one algorithm keeps of one key. Times are in nanoseconds since
// its Buckets began. Its methods may be called from many goroutines at once.
type bucket interface {
	// take spends one request, if there is one. A waiter is there if its turn
	// has yet to come, within patience at the most.
	take(now, patience int64) (level, *waiter, bool)
	// giveBack undoes a take of then, a moment ago, that has no waiter.
	giveBack(then, now int64) level
	look(now int64) level
}

// expirySlack is more than otter's expiry may be early: by a second, and by the
// time for which it does not hear of what is recent.
const expirySlack = time.Second + recently + time.Second

// NewBuckets returns full buckets for c, which must be valid. Those with a key
// run a goroutine until Close.
func NewBuckets(c Config) *Buckets {
	b := &Buckets{start: time.Now()}
	if !c.local() {
		return b
	}
	var life time.Duration
	b.fresh, life = algorithm(c, b.start)
	if len(c.Key) == 0 {
		b.one = b.fresh()
		return b
	}
	// A bucket that was left alone for so long is full, and so is a new one:
	// forgetting it loses nothing.
	idle := min(life, math.MaxInt64-expirySlack) + expirySlack
	b.recent = newRecent(c.MaxKeys)
	b.cells = otter.Must(&otter.Options[key, bucket]{
		MaximumSize:      c.MaxKeys,
		ExpiryCalculator: otter.ExpiryAccessing[key, bucket](idle),
	})
	return b
}

// algorithm returns what makes a full bucket for c, and how long one that
// nobody asks remembers.
func algorithm(c Config, start time.Time) (fresh func() bucket, life time.Duration) {
	switch c.Algorithm {
	case SlidingWindow:
		l := newWindowLimit(c)
		return func() bucket { return &window{limit: l} }, l.life()
	case LeakyBucket:
		l := newLimit(c)
		qs := &queues{limit: l, start: start, most: int64(c.maxWaiting())}
		return func() bucket { return &queue{queues: qs} }, time.Duration(l.full)
	default:
		l := newLimit(c)
		return func() bucket { return &cell{limit: l} }, time.Duration(l.full)
	}
}

// Len returns about how many buckets are kept.
func (b *Buckets) Len() int {
	switch {
	case b.cells != nil:
		return b.cells.EstimatedSize()
	case b.one != nil:
		return 1
	}
	return 0
}

// Close ends the goroutine of b. Requests that still come are still counted.
func (b *Buckets) Close() {
	if b.cells != nil {
		b.cells.StopAllGoroutines()
	}
}

// now returns the time as buckets count it.
func (b *Buckets) now() int64 { return int64(time.Since(b.start)) }

// of returns the bucket of k. now is the time as b counts it.
func (b *Buckets) of(k *key, now int64) bucket {
	if b.cells == nil {
		return b.one
	}
	slot := b.recent.slot(k)
	have := slot.Load()
	if have.holds(k, now) {
		return have.bucket
	}
	kept := b.kept(*k)
	if !have.fresh(now) {
		slot.CompareAndSwap(have, &seen{k.clone(), kept, now + int64(recently)})
	}
	return kept
}

// kept returns the bucket of k that the cache has, or has from now on.
func (b *Buckets) kept(k key) bucket {
	if kept, ok := b.cells.GetIfPresent(k); ok {
		return kept
	}
	kept, _ := b.cells.ComputeIfAbsent(k.clone(), func() (bucket, bool) { return b.fresh(), false })
	return kept
}
