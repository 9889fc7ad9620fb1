package experiment

import (
	"fmt"
	"sync"
	"time"

	"sidecar/internal/exchange"
)

// trial is one experiment.
type trial struct {
	id     string
	config Config
	fault  Switch
	routes []string
	who    exchange.Who
	start  time.Time
	lease  time.Duration // 0: none

	aborted   chan string   // has why it is to end, once somebody wants that
	disproved chan string   // has how the steady state broke under the fault
	done      chan struct{} // closed when all is told

	mu sync.Mutex // guards all below
	outcome
	phase    Phase
	ended    time.Time
	leasing  *time.Timer
	hold     Hold // of the fault, from when it is on
	injected uint64
	measure
}

// outcome is how a trial ends. The zero outcome is none: the time is over.
type outcome struct {
	Outcome
	why string
}

func newTrial(c Config, f Switch, routes []string, lease time.Duration, who exchange.Who) *trial {
	return &trial{
		id: exchange.NewID(), config: c, fault: f, routes: routes, who: who, start: time.Now(), lease: lease,
		aborted: make(chan string, 1), disproved: make(chan string, 1), done: make(chan struct{}),
		phase: Baseline, measure: newMeasure(),
	}
}

// run goes through the phases, and returns how it went. The fault is off then.
func (t *trial) run() (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{Aborted, fmt.Sprintf("panic: %v", p)}
		}
		t.release()
	}()
	if o = t.wait(time.Now().Add(t.config.Baseline), nil); o.Outcome == "" {
		o = t.judgeBaseline()
	}
	if o.Outcome != "" {
		return o
	}
	if o = t.breaks(); o.Outcome == Aborted {
		return o
	}
	t.enter(Recovery)
	ended := t.wait(time.Now().Add(t.config.Recovery), nil)
	switch {
	case o.Outcome == Broken:
		return o
	case ended.Outcome != "":
		return ended
	}
	return t.judge()
}

// breaks has the fault on for its time, and says how that went.
func (t *trial) breaks() outcome {
	until := time.Now().Add(t.config.Duration) // no later than the fault's own end
	hold, err := t.fault.On(t.config.Duration, t.who)
	if err != nil {
		return outcome{Aborted, err.Error()}
	}
	t.mu.Lock()
	t.hold = hold
	t.mu.Unlock()
	t.enter(Fault)
	o := t.wait(until, hold.Over())
	t.release()
	if o.Outcome == "" {
		return t.judgeFault()
	}
	return o
}

// wait returns at the time until, or with what has ended the trial before. over
// is closed when its fault is off.
func (t *trial) wait(until time.Time, over <-chan struct{}) outcome {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	var disproved <-chan string
	if over != nil {
		disproved = t.disproved
	}
	select {
	case <-timer.C:
	case why := <-t.aborted:
		return outcome{Aborted, why}
	case why := <-disproved:
		return outcome{Broken, why}
	case <-over:
		if time.Now().Before(until) { // else both are over
			return outcome{Aborted, "the fault was switched off or changed by somebody else, by its abortIf, or by a reload"}
		}
	}
	return outcome{}
}

// abort ends t. The first word stands.
func (t *trial) abort(why string) {
	select {
	case t.aborted <- why:
	default:
	}
}

// renew prolongs the lease.
func (t *trial) renew() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.lease == 0 || t.phase == Ended:
	case t.leasing == nil:
		t.leasing = time.AfterFunc(t.lease, func() {
			t.abort(fmt.Sprintf("nobody has renewed the lease of %v", t.lease))
		})
	default:
		t.leasing.Reset(t.lease)
	}
}

func (t *trial) enter(p Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = p
	if p == Recovery {
		t.settles = time.Now().Add(t.config.Recovery / 2)
	}
}

// release switches the fault off, if t has it on.
func (t *trial) release() {
	t.mu.Lock()
	hold := t.hold
	t.mu.Unlock()
	if hold != nil {
		hold.Release("experiment " + t.config.Name + " switches it off")
	}
}

// seal ends t as o says, and returns the phase in which it was: what comes later
// is dropped.
func (t *trial) seal(o outcome) Phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	phase := t.phase
	t.outcome, t.phase, t.ended = o, Ended, time.Now()
	if t.hold != nil {
		t.injected, t.hold = t.hold.Injected(), nil
	}
	if t.leasing != nil {
		t.leasing.Stop()
	}
	return phase
}

func (t *trial) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == Ended
}

// report returns t as it stands.
func (t *trial) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{
		ID: t.id, Name: t.config.Name, Fault: t.fault.Name(), Routes: t.routes, Phase: t.phase,
		Outcome: t.Outcome, Why: t.why, By: t.who.String(), Started: t.start.UTC(), Ended: t.ended,
		SteadyState: steadyOf(t.config.SteadyState), Injected: t.injected,
	}
	if t.hold != nil {
		r.Injected = t.hold.Injected()
	}
	if !r.Ended.IsZero() {
		r.Ended = r.Ended.UTC()
	}
	t.measure.tell(&r)
	return r
}
