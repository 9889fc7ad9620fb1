package ratelimit

import (
	"math"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"

	"sidecar/internal/exchange"
)

// Buckets are the buckets of one policy. They outlive the policy's Limiters: a
// reload that leaves the policy as it is hands them on. They are safe for
// concurrent use.
type Buckets struct {
	limit limit
	start time.Time // what cells count from; its monotonic clock is never set back

	one   cell                     // of all requests, if there is no key
	cells *otter.Cache[key, *cell] // nil then
}

// expirySlack is more than otter's expiry may be early.
const expirySlack = 2 * time.Second

// NewBuckets returns full buckets for c, which must be valid. Those with a key
// run a goroutine until Close.
func NewBuckets(c Config) *Buckets {
	b := &Buckets{limit: newLimit(c), start: time.Now()}
	if len(c.Key) > 0 {
		// A bucket that was left alone for so long is full, and so is a new
		// one: forgetting it loses nothing.
		idle := time.Duration(min(b.limit.full, math.MaxInt64-int64(expirySlack))) + expirySlack
		b.cells = otter.Must(&otter.Options[key, *cell]{
			MaximumSize:      c.MaxKeys,
			ExpiryCalculator: otter.ExpiryAccessing[key, *cell](idle),
		})
	}
	return b
}

// Len returns about how many buckets are kept.
func (b *Buckets) Len() int {
	if b.cells == nil {
		return 1
	}
	return b.cells.EstimatedSize()
}

// Close ends the goroutine of b. Requests that still come are still counted.
func (b *Buckets) Close() {
	if b.cells != nil {
		b.cells.StopAllGoroutines()
	}
}

// cell returns the bucket of k.
func (b *Buckets) cell(k key) *cell {
	if c, ok := b.cells.GetIfPresent(k); ok {
		return c
	}
	c, _ := b.cells.ComputeIfAbsent(k.clone(), func() (*cell, bool) { return new(cell), false })
	return c
}

// draw is one request's dealing with one bucket.
type draw struct {
	limit limit
	cell  *cell
	by    string // whose bucket: the key's source, never its value
	now   int64
	tat   int64
}

func (l *Limiter) draw(record *exchange.Record, r *http.Request) draw {
	b := l.buckets
	d := draw{limit: b.limit, cell: &b.one, now: int64(time.Since(b.start))}
	if b.cells != nil {
		k, by := l.sources.key(record, r)
		d.cell, d.by = b.cell(k), by
	}
	return d
}

func (d *draw) take() (ok bool) {
	d.tat, ok = d.limit.take(d.cell, d.now)
	return ok
}

func (d *draw) giveBack() {
	d.limit.giveBack(d.cell)
	d.look()
}

func (d *draw) look() { d.tat = d.cell.tat.Load() }

func (d *draw) level() level { return d.limit.level(d.tat, d.now) }
