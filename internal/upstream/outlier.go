package upstream

import (
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// ejection is how an endpoint was left out for how it answers calls.
type ejection struct {
	until time.Time // zero: it is not
	since time.Time // when it came back
	times int       // in a row
	took  time.Duration
	all   uint64
}

// judge counts how a call of e ended, and ejects e if that is once too often.
func (u *Upstream) judge(e *endpoint, resp *http.Response, err error) {
	o := u.config.Outlier
	why, failed := o.FailureOn.Match(resp, err)
	switch {
	case failed:
		// Not at each one beyond the limit: when all is broken and enough is
		// ejected, calls would queue for the lock.
		if n := e.failures.Add(1); n%int64(o.ConsecutiveFailures) == 0 {
			u.change(func(now time.Time) bool { return u.eject(e, n, why, now) })
		}
	case err == nil && e.failures.Load() != 0:
		e.failures.Store(0)
	}
}

// eject leaves e out for a while, unless too many are or nobody else would be
// left, and reports whether it does. u.mu is held.
func (u *Upstream) eject(e *endpoint, failures int64, why exchange.Condition, now time.Time) bool {
	if e.retired.Load() || !e.ejection.until.IsZero() || !u.canEject(e) {
		return false
	}
	x, from := &e.ejection, e.state(now)
	if now.Sub(x.since) >= x.took {
		x.times = 0
	}
	u.lengthen(x)
	x.until = now.Add(u.jittered(x.took))
	x.all++
	u.noteState(e, from, fmt.Sprintf("%d failures in a row, the last: %s; until %s",
		failures, why, x.until.UTC().Format(time.RFC3339)), true)
	return true
}

// lengthen makes the next ejection of x twice as long as the one before it, in
// a row of them.
func (u *Upstream) lengthen(x *ejection) {
	long := u.config.Outlier.EjectFor
	if x.times == 0 {
		x.took = long.Base
	} else {
		x.took = min(2*x.took, long.Max)
	}
	x.times++
}

// canEject reports whether e may be ejected beside those that are out already.
func (u *Upstream) canEject(e *endpoint) bool {
	out, others := 1, 0
	for _, o := range u.endpoints {
		if !o.ejection.until.IsZero() {
			out++
		}
		if o != e && !o.drained && o.weight > 0 && !o.isOut() {
			others++
		}
	}
	return others > 0 && out*100 <= len(u.endpoints)*u.config.Outlier.MaxEjectedPercent
}

// readmit ends the ejection of e. It is on probation: whether its trouble is
// over, only calls can tell. u.mu is held.
func (u *Upstream) readmit(e *endpoint, now time.Time) {
	from := e.state(e.ejection.until.Add(-1))
	e.ejection.until, e.ejection.since = time.Time{}, now
	e.failures.Store(int64(u.config.Outlier.ConsecutiveFailures) - 1)
	u.ramp(e, now)
	u.noteState(e, from, "the ejection is over; its next failure ejects it again", false)
}
