package ratelimit

import (
	"sync/atomic"
	"time"
)

// cell is one bucket: the "theoretical arrival time" of GCRA, in nanoseconds
// since its Buckets began. Until then the bucket is not full; a time that has
// passed is a full bucket, and so is the zero cell.
//
// GCRA (ITU-T I.371, https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm)
// is the token bucket without a refill: one number, changed by one
// compare-and-swap.
type cell struct{ tat atomic.Int64 }

// limit is a rate and a burst, in nanoseconds.
type limit struct {
	interval int64 // what one request costs
	full     int64 // what a full bucket holds
}

func newLimit(c Config) limit {
	interval := int64(c.Rate.interval())
	return limit{interval: interval, full: interval * int64(c.burst())}
}

// take spends one request if c has one, and returns the cell's time after it.
func (l limit) take(c *cell, now int64) (tat int64, ok bool) {
	for {
		tat = c.tat.Load()
		next := max(tat, now) + l.interval
		if next-now > l.full {
			return tat, false
		}
		if c.tat.CompareAndSwap(tat, next) {
			return next, true
		}
	}
}

// giveBack undoes a take of a moment ago.
func (l limit) giveBack(c *cell) { c.tat.Add(-l.interval) }

// level is how full a bucket is.
type level struct {
	remaining int64 // requests that pass at once
	wait      int64 // nanoseconds until one passes; 0 if one does
	full      int64 // nanoseconds until the bucket is full
}

func (l limit) level(tat, now int64) level {
	debt := max(tat-now, 0)
	// Between two reads of the clock a cell can owe more than there is.
	remaining := max(l.full-debt, 0) / l.interval
	return level{remaining: remaining, wait: max(debt+l.interval-l.full, 0), full: debt}
}

// seconds rounds up, and to no less than one: a client told 0 comes at once.
func seconds(nanos int64) int64 {
	return max(wholeSeconds(nanos), 1)
}

func wholeSeconds(nanos int64) int64 {
	whole := nanos / int64(time.Second)
	if nanos%int64(time.Second) > 0 {
		whole++
	}
	return whole
}
