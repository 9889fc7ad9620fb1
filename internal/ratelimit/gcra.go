package ratelimit

import "sync/atomic"

// cell is one token bucket: the "theoretical arrival time" of GCRA, in
// nanoseconds since its Buckets began. Until then the bucket is not full; a
// time that has passed is a full bucket.
//
// GCRA (ITU-T I.371, https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)
// is the token bucket without a refill: one number, changed by one
// compare-and-swap.
type cell struct {
	limit *limit
	tat   atomic.Int64
}

// limit is a rate and a burst, in nanoseconds.
type limit struct {
	interval int64 // what one request costs
	free     int64 // what may be spent at once, by requests that do not wait
	full     int64 // what may be spent at all, by those that wait included
}

func newLimit(c Config) *limit {
	interval := int64(c.Rate.interval())
	free := interval * int64(c.burst())
	return &limit{interval: interval, free: free, full: free + int64(c.maxWait())}
}

// take implements bucket.
func (c *cell) take(now, _ int64) (level, *waiter, bool) {
	for {
		tat := c.tat.Load()
		next := max(tat, now) + c.limit.interval
		if next-now > c.limit.full {
			return c.limit.refused(tat-now, 0), nil, false
		}
		if c.tat.CompareAndSwap(tat, next) {
			return c.limit.level(next - now), nil, true
		}
	}
}

// giveBack implements bucket.
func (c *cell) giveBack(_, now int64) level {
	return c.limit.level(c.tat.Add(-c.limit.interval) - now)
}

// look implements bucket.
func (c *cell) look(now int64) level { return c.limit.level(c.tat.Load() - now) }

// refused returns the level of a bucket whose requests owe so much that another
// would have to wait for longer than its patience.
func (l *limit) refused(debt, patience int64) level {
	at := l.level(debt)
	at.wait = debt + l.interval - l.free - patience
	return at
}

// level returns how full a bucket is whose requests owe so much.
func (l *limit) level(debt int64) level {
	debt = max(debt, 0)
	// Between two reads of the clock a cell can owe more than there is.
	remaining := max(l.full-debt, 0) / l.interval
	return level{remaining: remaining, wait: max(debt+l.interval-l.full, 0), full: debt}
}
