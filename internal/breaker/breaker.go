// Package breaker pauses the calls to an upstream that keeps failing, or takes
// too long, and finds out gently when it has recovered.
//
// It stands at two places of the chain, around retry and inside it:
//
//	Admit( retry( Count( upstream )))
//
// Admit refuses while the breaker is open, before anything is buffered, and has
// the fallback answer: a response of our own, or another upstream. Count asks
// again before every attempt and learns how it ended: retries hide nothing from
// the breaker, and an open breaker ends the retries.
//
// A breaker is that of an upstream, of a route, or of an endpoint. That one is
// no layer: the balancer asks it which endpoints may be called, and Count tells
// it how the call to the chosen one ended.
//
// The state machine is gobreaker's. The window, slow calls, the growing pause,
// the probes and the forced states are ours.
package breaker

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// Breaker is what one policy of one snapshot judges by: a State, or one for
// each endpoint. It is safe for concurrent use.
type Breaker struct {
	config Config
	name   string
	state  *State            // nil: each endpoint has one
	each   *present          // nil: there is one for all
	other  http.RoundTripper // nil: no upstream stands in
	pass   *exchange.Decision
}

// New returns a Breaker that judges by c and keeps its state in s. c must be
// valid, and equal, but for its lines and its Fallback, to the Config that s was
// made with. other leads to the upstream of the Fallback; nil if it names none.
func New(c Config, s *State, other http.RoundTripper) *Breaker {
	return &Breaker{config: c, name: s.name, state: s, other: other, pass: passing(s.name, c)}
}

// NewForEach is New for a breaker of endpoints, which keeps its state in es.
// hosts returns the endpoints that there are, a host:port each; it is called for
// every request.
func NewForEach(c Config, es *Endpoints, hosts func() []string, other http.RoundTripper) *Breaker {
	return &Breaker{config: c, name: es.name, each: &present{es, hosts}, other: other, pass: passing(es.name, c)}
}

// passing is the word of a breaker that lets a call pass.
func passing(name string, c Config) *exchange.Decision {
	return &exchange.Decision{Kind: exchange.CircuitBreaker, Policy: name, Outcome: exchange.Pass, Line: c.Line}
}

// Admit returns a RoundTripper that calls next unless the breaker is open or
// has probes enough. It answers with the fallback, if there is one, in place
// of this breaker's refusals: its own and those that Count made further in.
func (b *Breaker) Admit(next http.RoundTripper) http.RoundTripper {
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		if reason, wait := b.look(); reason != "" {
			refusal := b.refusal(reason, wait)
			if b.shadow() {
				exchange.From(r.Context()).Note(refusal.Shadowed())
				return next.RoundTrip(r)
			}
			return b.instead(r, refusal, true)
		}
		exchange.From(r.Context()).Pass(b.pass)
		sent, body := b.hold(r)
		resp, err := next.RoundTrip(sent)
		if refusal, ok := b.own(err); ok {
			return b.instead(r, refusal, body.take())
		}
		return resp, err
	})
}

// Count returns a RoundTripper that asks the breaker before it calls next,
// and counts how the call ended, known at the response's headers. A body that
// breaks later does not count.
func (b *Breaker) Count(next http.RoundTripper) http.RoundTripper {
	if b.each != nil {
		return b.countEach(next)
	}
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		t, reason, wait := b.state.enter()
		if reason != "" && b.shadow() {
			return next.RoundTrip(r) // not counted either: it would not have been made
		}
		if reason != "" {
			exchange.CloseBody(r)
			return nil, b.refusal(reason, wait)
		}
		if t.probe() && !b.shadow() {
			exchange.From(r.Context()).CallOnce()
		}
		w, r := b.config.Slow.begin(r)
		// A probe that never ends would keep the breaker half-open for ever,
		// so a panic has to leave too, and says nothing of the upstream.
		end, slow := errExcluded, false
		defer func() {
			b.state.leave(t, end, slow)
			b.lastWord(r, end)
		}()

		resp, err := next.RoundTrip(r)
		end, slow = b.judge(r, resp, err), w.slow()
		return resp, err
	})
}

// lastWord ends the retries of r if a call of it has just failed and none may
// follow: another attempt would wait, and spend the retry budget, only to be
// refused.
func (b *Breaker) lastWord(r *http.Request, end error) {
	if end == nil || end == errExcluded || b.shadow() {
		return
	}
	if reason, wait := b.look(); reason != "" {
		exchange.From(r.Context()).CallNoMore(b.refusal(reason, wait))
	}
}

// look returns why no call may pass now, and how long that will last; no reason
// if one may.
func (b *Breaker) look() (exchange.Reason, time.Duration) {
	if b.each != nil {
		return b.each.look()
	}
	return b.state.look()
}

// shadow reports whether the breaker counts and moves as ever, and lets
// everything by.
func (b *Breaker) shadow() bool { return b.config.Mode == exchange.ModeShadow }

// own returns err as a refusal of this very breaker.
func (b *Breaker) own(err error) (*exchange.Refusal, bool) {
	refusal, ok := errors.AsType[*exchange.Refusal](err)
	return refusal, ok && refusal.Kind == exchange.CircuitBreaker && refusal.Policy == b.name
}

// refusal returns the answer to a call that may try again after wait. A
// client counts in whole seconds (RFC 9110 section 10.2.3).
func (b *Breaker) refusal(reason exchange.Reason, wait time.Duration) *exchange.Refusal {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return &exchange.Refusal{
		Kind: exchange.CircuitBreaker, Policy: b.name, Reason: reason, Line: b.config.Line,
		Header: http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}},
	}
}
