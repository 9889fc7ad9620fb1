// Package faults breaks upstream calls on purpose, so that what stands around
// them can be seen to hold.
//
// It is the innermost layer, just above the upstream:
//
//	circuitBreaker(retry(fault(upstream)))
//
// An injected fault is a response or an *exchange.Failure, never a refusal:
// retry and breaker take it for real. Whether a call is broken is drawn for
// each attempt from what names it, so that the same requests fail on every
// run, and a retry can absorb what the first attempt met.
package faults

import (
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// Header names, in a response, the faults that made or delayed it, or have its
// body, so that nobody hunts a ghost.
const Header = "X-Sidecar-Fault"

// Named is a fault policy and its name in the policy file.
type Named struct {
	Name string
	Config
}

// Faults are the faults of one route, as one snapshot knows them. They are safe
// for concurrent use.
type Faults struct {
	toggles *Switch
	rules   []rule
	asked   bool // some rule goes by what requests ask for
}

// New returns the faults that s has switched on among fs. They are drawn in
// the order of fs; each Config must be valid.
func New(s *Switch, fs []Named) *Faults {
	f := &Faults{toggles: s}
	for _, n := range fs {
		f.rules = append(f.rules, newRule(n))
		f.asked = f.asked || n.ByHeader != nil
	}
	return f
}

// Wrap returns a RoundTripper that calls next, later or not at all for those
// attempts that a fault is drawn for. The delays of several faults add up, and
// the first that aborts is the last that is looked at.
//
// It fills in the Fault of the attempt and notes what it does on the record.
// When nothing is switched on it costs one atomic load.
func (f *Faults) Wrap(next http.RoundTripper) http.RoundTripper {
	if f.asked {
		next = unasked(next)
	}
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		running := f.toggles.running.Load()
		if running == nil {
			return next.RoundTrip(r)
		}
		drawn := f.draw(r, *running)
		if len(drawn) == 0 {
			return next.RoundTrip(r)
		}
		return inject(drawn, r, next)
	})
}

// hit is a fault that was drawn for an attempt.
type hit struct {
	*rule
	run   *run
	delay time.Duration
	abort Abort
	body  Body
	draws draws // what follows
	acted bool  // it has done something
}

func (h *hit) aborts() bool { return h.abort != (Abort{}) }

// stops reports whether h does something to the call itself.
func (h *hit) stops() bool { return h.delay > 0 || h.aborts() }

// draw returns the faults that break the attempt r, in order.
func (f *Faults) draw(r *http.Request, running map[string]*run) []hit {
	var hits []hit
	now := time.Now()
	for i := range f.rules {
		rule := &f.rules[i]
		run := running[rule.name]
		if run == nil {
			continue
		}
		if !now.Before(run.expires) {
			f.toggles.refresh()
			continue
		}
		h, ok := rule.draw(r, run)
		if !ok {
			continue
		}
		if rule.shadow {
			h.noteShadow(r)
			continue
		}
		hits = append(hits, h)
		if h.aborts() {
			break
		}
	}
	return hits
}

// draw returns what r does to the attempt req while run says so.
func (r *rule) draw(req *http.Request, run *run) (h hit, ok bool) {
	settings := r.under(run)
	if !settings.when.match(req) || settings.abort.GRPC != "" && !exchange.IsGRPC(req) {
		return h, false
	}
	h = hit{rule: r, run: run, abort: settings.abort, body: settings.body}
	h.draws.start(r.seed, r.name, req)
	switch {
	case r.asked != nil:
		h.delay, h.abort, h.body = r.asked.asked(req, settings.percent, &h.draws)
	case h.draws.below(settings.percent):
		h.delay = h.draws.delay(settings.delay)
	default:
		return h, false
	}
	return h, h.stops() || h.body != (Body{})
}
