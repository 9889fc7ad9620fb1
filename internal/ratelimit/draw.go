package ratelimit

import (
	"context"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// draw is one request's dealing with one limit.
type draw struct {
	*Limiter
	key   key
	by    string // whose bucket: the key's source, never its value
	now   int64  // when it began, as buckets count
	level level
	known bool // what level says
	taken bool // and to be given back if another limit refuses

	bucket bucket        // in this process; nil: it was not asked
	waiter *waiter       // in bucket; nil: it does not wait there
	delay  time.Duration // until its turn, as a store says
	waits  bool          // it is counted among those that do
	part   int64         // what a store wants to know of what is given back
	err    error         // why the store was not heard
}

func (d *draw) begin(l *Limiter, record *exchange.Record, r *http.Request) {
	d.Limiter, d.now = l, l.buckets.now()
	if len(l.sources) > 0 {
		d.by = l.sources.read(&d.key, record, r)
	}
}

// take spends one request, and reports whether there was one.
func (d *draw) take(record *exchange.Record) bool {
	if d.remote != nil {
		var ok bool
		if ok, d.err = d.remote.take(d, record, d.patience(record)); d.err == nil {
			return ok && d.mayWait()
		}
		if d.onFailure != Local {
			return d.onFailure == Allow
		}
		d.now = d.buckets.now() // the call has taken its time
	}
	d.bucket = d.buckets.of(&d.key, d.now)
	d.level, d.waiter, d.taken = d.bucket.take(d.now, int64(d.patience(record)))
	d.known = true
	return d.taken
}

// mayWait reports whether there is room for d to wait for the turn that a store
// gave it, if it has to. Else it gives that back.
func (d *draw) mayWait() bool {
	if d.delay <= 0 || d.shadow {
		return true
	}
	if d.buckets.turns.Add(1) <= d.maxWaiting {
		d.waits = true
		return true
	}
	d.buckets.turns.Add(-1)
	d.remote.giveBack(d)
	d.taken, d.level.wait = false, int64(d.delay)
	return false
}

// endWait says that no draw waits any more for what a store gave it.
func endWait(draws []draw) {
	for i := range draws {
		if d := &draws[i]; d.waits {
			d.waits = false
			d.buckets.turns.Add(-1)
		}
	}
}

// patience returns how long the request can wait for its turn: no longer than
// there is somebody who waits for the answer.
func (d *draw) patience(record *exchange.Record) time.Duration {
	if d.maxWait == 0 || record.Deadline.IsZero() {
		return d.maxWait
	}
	return max(min(d.maxWait, time.Until(record.Deadline)), 0)
}

// look reads what a bucket of this process holds. A store is not asked: a
// request that is refused is to cost nothing.
func (d *draw) look() {
	if d.remote == nil {
		d.level, d.known = d.buckets.of(&d.key, d.now).look(d.now), true
	}
}

// giveBack undoes what draws took. What is back by itself is not given twice:
// many who leave after a long wait for another limit would let as many by at once.
func giveBack(draws []draw) {
	for i := range draws {
		d := &draws[i]
		switch {
		case !d.taken:
		case d.waiter != nil:
			d.level = d.waiter.leave()
		case d.buckets.now()-d.now >= d.level.full:
		case d.bucket != nil:
			d.level = d.bucket.giveBack(d.now, d.buckets.now())
		default:
			d.remote.giveBack(d)
			d.known = false
		}
	}
}

// wait returns once the turn of every draw has come, or why nobody waits any
// more. In shadow no request waits.
func wait(ctx context.Context, draws []draw) error {
	defer endWait(draws)
	longest := time.Duration(0)
	for i := range draws {
		d := &draws[i]
		switch {
		case d.Limiter.shadow:
		case d.waiter != nil:
			if err := d.waiter.wait(ctx); err != nil {
				return err
			}
		case d.delay > 0:
			longest = max(longest, d.delay-time.Duration(d.buckets.now()-d.now))
		}
	}
	if longest <= 0 {
		return nil
	}
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// note says on the record what the limit did to a request that it lets by.
func (d *draw) note(record *exchange.Record) {
	if d.err == nil && d.waiter == nil && d.delay <= 0 {
		record.Pass(d.pass)
		return
	}
	n := *d.pass
	switch {
	case d.err != nil:
		n.Outcome, n.Reason, n.Detail = exchange.Broken, exchange.StoreUnavailable, d.err.Error()
	case d.shadow:
		n.Outcome, n.Reason = exchange.Shadow, exchange.RateLimitWait
	default:
		n.Outcome, n.Reason = exchange.Act, exchange.RateLimitWait
	}
	record.Note(n)
}
