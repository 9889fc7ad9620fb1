package upstream

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// view is what calls see of the endpoints. It never changes.
type view struct {
	only  *endpoint // where there is one that takes calls
	taken []slot    // those that take calls
	wheel []slot    // the same, each as often as its weight, spread evenly

	hosts []string // of all endpoints
	panic bool     // none works: those that do not are called
}

// slot is an endpoint in a view.
type slot struct {
	*endpoint
	share int64 // of the calls, beside the shares of the others
}

const (
	// rampSteps is in how many steps a slow start goes.
	rampSteps = 20
	// maxWheel bounds what a view takes in memory and time.
	maxWheel = 1 << 13
)

// rebuild makes the view anew. It is called for whatever changes that calls
// should see. u.mu is held, or nobody knows u yet.
func (u *Upstream) rebuild(now time.Time) {
	next := u.comeBack(now)
	before := u.view.Load()
	v := &view{hosts: hosts(u.endpoints)}
	taken := u.thatMay(func(e *endpoint) bool { return !e.drained && e.weight > 0 && !e.isOut() })
	if v.panic = len(taken) == 0; v.panic {
		taken = u.thatMay(func(e *endpoint) bool { return !e.drained && e.weight > 0 })
	}
	if len(taken) == 0 { // whoever drained the last but one did not know that the last would go
		taken = u.endpoints
	}
	ramps := !v.panic && slices.ContainsFunc(taken, func(e *endpoint) bool { return !e.rampsFrom.IsZero() })
	for _, e := range taken {
		share := int64(max(e.weight, 1))
		if ramps {
			share *= u.rampStep(e, now)
		}
		v.taken = append(v.taken, slot{e, share})
	}
	if ramps {
		next = sooner(next, now.Add(u.config.SlowStart/rampSteps))
	}
	v.wheel = wheel(v.taken)
	if len(taken) == 1 {
		v.only = taken[0]
	}
	u.view.Store(v)
	u.arm(next)
	u.noteAlarm(before, v)
}

// isOut reports whether e is left out for how it fares.
func (e *endpoint) isOut() bool { return e.checks.unhealthy || !e.ejection.until.IsZero() }

func (u *Upstream) thatMay(take func(*endpoint) bool) []*endpoint {
	return slices.DeleteFunc(slices.Clone(u.endpoints), func(e *endpoint) bool { return !take(e) })
}

func hosts(endpoints []*endpoint) []string {
	all := make([]string, len(endpoints))
	for i, e := range endpoints {
		all[i] = e.label
	}
	return all
}

// rampStep returns the share of e, of rampSteps.
func (u *Upstream) rampStep(e *endpoint, now time.Time) int64 {
	if e.rampsFrom.IsZero() {
		return rampSteps
	}
	return max(1, int64(rampSteps*now.Sub(e.rampsFrom)/u.config.SlowStart))
}

// ramp begins the slow start of e.
func (u *Upstream) ramp(e *endpoint, now time.Time) {
	if u.config.SlowStart > 0 {
		e.rampsFrom = now
	}
}

// comeBack ends what is over by now, and returns when something else will be;
// zero: nothing.
func (u *Upstream) comeBack(now time.Time) (next time.Time) {
	for _, e := range u.endpoints {
		if until := e.ejection.until; !until.IsZero() {
			if now.Before(until) {
				next = sooner(next, until)
			} else {
				u.readmit(e, now)
			}
		}
		if !e.rampsFrom.IsZero() && now.Sub(e.rampsFrom) >= u.config.SlowStart {
			e.rampsFrom = time.Time{}
		}
	}
	return next
}

// sooner returns the earlier one; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// arm has the view made anew at that time.
func (u *Upstream) arm(at time.Time) {
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	if !at.IsZero() && !u.closed {
		u.timer = time.AfterFunc(time.Until(at), func() { u.change(func(time.Time) bool { return true }) })
	}
}

// change makes a change, and tells what became of it. what reports whether calls
// should see it.
func (u *Upstream) change(what func(now time.Time) bool) {
	u.changeLocked(what)
	u.tellNews()
}

func (u *Upstream) changeLocked(what func(now time.Time) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now := time.Now(); !u.closed && what(now) {
		u.rebuild(now)
	}
}

// wheel returns slots, each as often as its share, and spread evenly: one with n
// turns has one in each n-th of the way around. Those of the same share have
// theirs at different places of it, or they would come in a row.
func wheel(slots []slot) []slot {
	divisor, total := int64(0), int64(0)
	alike := map[int64]int{} // slots of a share
	for _, s := range slots {
		divisor, total = gcd(s.share, divisor), total+s.share
		alike[s.share]++
	}
	shrink := max(1, float64(total/divisor)/maxWheel)
	type turn struct {
		at float64
		slot
	}
	var turns []turn
	seen := map[int64]int{}
	for _, s := range slots {
		n := max(1, math.Round(float64(s.share/divisor)/shrink))
		offset := (float64(seen[s.share]) + .5) / float64(alike[s.share])
		seen[s.share]++
		for k := range int(n) {
			turns = append(turns, turn{(float64(k) + offset) / n, s})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.at, b.at) })
	around := make([]slot, len(turns))
	for i, t := range turns {
		around[i] = t.slot
	}
	return around
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
