package experiment

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sidecar/internal/exchange"
)

// measure is what a trial has seen.
type measure struct {
	before, during, after, bystanders numbers

	window  exchange.Window // of the fault's phase while it lasts
	settled exchange.Tally  // of the second half of the recovery
	settles time.Time       // when that begins

	met, absorbed, byFallback, surfaced, slow, left int

	inFlight int // of those that began under the fault
	trips    int
}

// span is how far back the fault's phase is judged while it lasts: once or twice
// so far. It is judged as a whole as well, since there may be few requests.
const span = 5 * time.Second

func newMeasure() measure { return measure{window: exchange.Window{Span: span}} }

// judgeBaseline returns why the fault is not to be switched on, if so.
func (t *trial) judgeBaseline() outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	steady := t.config.SteadyState
	if why := steady.Breach(t.before.Tally); why != "" {
		return outcome{Refused, "the steady state does not hold without the fault: " + why}
	}
	if t.before.Requests < steady.MinRequests {
		return outcome{Refused, fmt.Sprintf("too few requests to judge without the fault: %d in %v, minRequests is %d",
			t.before.Requests, t.config.Baseline, steady.MinRequests)}
	}
	return outcome{}
}

// judgeFault says how the time of the fault went as a whole.
func (t *trial) judgeFault() outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	steady := t.config.SteadyState
	why := steady.Breach(t.during.Tally)
	switch {
	case why != "":
		return outcome{Broken, "under the fault " + why}
	case t.during.Requests < steady.MinRequests:
		return outcome{Inconclusive, fmt.Sprintf("too few requests to judge under the fault: %d, minRequests is %d",
			t.during.Requests, steady.MinRequests)}
	case t.met == 0:
		return outcome{Inconclusive, "no request that met the fault has ended"}
	}
	return outcome{Held, fmt.Sprintf("%d of %d requests failed under the fault", t.during.Errors, t.during.Requests)}
}

// judge says how it all went: the time of the fault, with what has ended since,
// and the second half of the recovery.
func (t *trial) judge() outcome {
	o := t.judgeFault()
	t.mu.Lock()
	defer t.mu.Unlock()
	if why := t.config.SteadyState.Breach(t.settled); why != "" && o.Outcome != Broken {
		return outcome{Broken, "it did not recover: " + why}
	}
	return o
}

// began counts a request in, and returns when it began.
func (t *trial) began() Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == Fault {
		t.inFlight++
	}
	return t.phase
}

// finished counts a request that began in phase.
func (t *trial) finished(phase Phase, r *exchange.Record) {
	failed, counts := r.Fared()
	met, spoiled := t.meets(r)
	failed = failed || spoiled
	slow := t.config.SteadyState.Slow(r.Took)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == Ended {
		return // the verdict is out
	}
	if phase == Fault {
		t.inFlight--
	}
	if met {
		phase = Fault // a retry of what began before can meet it, too
		t.count(r, failed, slow, counts)
	}
	if !counts {
		return
	}
	switch phase {
	case Baseline:
		t.before.add(failed, slow, r.Took)
	case Fault:
		t.during.add(failed, slow, r.Took)
		if !met {
			t.bystanders.add(failed, slow, r.Took)
		}
		t.watch(failed, slow)
	case Recovery:
		t.after.add(failed, slow, r.Took)
		if !r.Start.Before(t.settles) {
			t.settled.Add(failed, slow)
		}
	}
}

// watch ends the fault's phase as soon as the steady state breaks. t.mu is held.
func (t *trial) watch(failed, slow bool) {
	if t.phase != Fault {
		return
	}
	t.window.Add(time.Now(), failed, slow)
	steady := t.config.SteadyState
	if why := cmp.Or(steady.Breach(t.window.Tally()), steady.Breach(t.during.Tally)); why != "" {
		select {
		case t.disproved <- "under the fault " + why:
		default:
		}
	}
}

// count says what became of a request that met the fault. t.mu is held.
func (t *trial) count(r *exchange.Record, failed, slow, counts bool) {
	t.met++
	switch {
	case !counts:
		t.left++
	case failed:
		t.surfaced++
	case slow:
		t.surfaced++
		t.slow++
	default:
		t.absorbed++
		if fellBack(r) {
			t.byFallback++
		}
	}
}

// meets reports whether the fault did something to an attempt of r, and whether
// the client was given what the fault made or changed.
func (t *trial) meets(r *exchange.Record) (met, spoiled bool) {
	name := t.fault.Name()
	met = slices.ContainsFunc(r.Notes(), func(d *exchange.Decision) bool {
		return d.Kind == exchange.Fault && d.Policy == name && d.Outcome == exchange.Act
	})
	return met, met && r.Answered != nil && slices.Contains(r.Answered.Spoiled, name)
}

func fellBack(r *exchange.Record) bool {
	return slices.ContainsFunc(r.Notes(), func(d *exchange.Decision) bool {
		return d.Outcome == exchange.Act && (d.Reason == exchange.FallbackServed || d.Reason == exchange.FallbackUpstream)
	})
}

// tell puts m into r.
func (m *measure) tell(r *Report) {
	r.Met, r.Absorbed, r.AbsorbedByFallback = m.met, m.absorbed, m.byFallback
	r.Surfaced, r.SurfacedSlow, r.Left = m.surfaced, m.slow, m.left
	r.Unfinished, r.BreakerTrips = m.inFlight, m.trips
	r.Before, r.During, r.After = m.before.told(), m.during.told(), m.after.told()
	r.Bystanders = m.bystanders.told()
}
