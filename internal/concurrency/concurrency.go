// Package concurrency bounds how many calls an upstream has at a time, so that
// what is too much waits a moment or is refused, and what is let by is served.
//
// It stands above the legs, within the route's timeout:
//
//	deadline( concurrency( circuitBreaker( retry( ... upstream ))))
//
// A request takes one place, however often retry repeats it, and holds it until
// its answer's body has ended. What may last for ever (an upgraded connection,
// an event stream, a gRPC call) holds it until the response headers only.
//
// The limit is a number, or it is found: see gradient.
package concurrency

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// Limiter is a State as one policy of one snapshot uses it. It is safe for
// concurrent use.
type Limiter struct {
	config  Config
	state   *State
	classes classifier
	random  func() float64
}

// New returns a Limiter that lets by as many calls as s has places for. c must
// be valid, and equal, but for its lines, to the Config that s was made with.
// random draws from [0,1).
func New(c Config, s *State, random func() float64) *Limiter {
	return &Limiter{config: c, state: s, classes: newClassifier(c.Priority), random: random}
}

// Wrap returns a RoundTripper that calls next when there is a place. Else the
// request waits for one, if the policy has a queue, and at last gets a
// *exchange.Refusal. It returns why a request has ended that was waiting.
func (l *Limiter) Wrap(next http.RoundTripper) http.RoundTripper {
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		rec := exchange.From(r.Context())
		call, err := l.enter(rec, r)
		if err != nil {
			exchange.CloseBody(r)
			return nil, err
		}
		held := false
		defer func() {
			if !held { // also when something panics
				l.state.leave()
			}
		}()
		resp, err := next.RoundTrip(r)
		l.state.answered(call, judge(r, rec, call, resp, err))
		if err == nil {
			held = l.state.hold(r, resp)
		}
		return resp, err
	})
}

// enter returns a call that has a place, or why there is none for it.
func (l *Limiter) enter(rec *exchange.Record, r *http.Request) (call, error) {
	attempts := rec.Attempts()
	if l.config.Mode == exchange.ModeShadow {
		n, over := l.state.force()
		if over {
			rec.Note(l.refusal(r, exchange.Overloaded, fullDetail, normal).Shadowed())
		} else {
			l.pass(rec, exchange.Pass, "", "")
		}
		return call{start: time.Now(), n: n, attempts: attempts}, nil
	}
	if n, ok := l.state.enter(); ok {
		l.pass(rec, exchange.Pass, "", "")
		return call{start: time.Now(), n: n, attempts: attempts}, nil
	}
	begun, class := time.Now(), l.classes.of(rec, r)
	n, why, err := l.state.wait(r.Context(), class, rec.Deadline)
	switch {
	case err != nil:
		return call{}, err
	case why != nil:
		return call{}, l.refusal(r, why.reason, why.detail, class)
	}
	now := time.Now()
	l.pass(rec, exchange.Act, exchange.Queued, now.Sub(begun).Round(time.Microsecond).String())
	return call{start: now, n: n, attempts: attempts}, nil
}

func (l *Limiter) pass(rec *exchange.Record, outcome exchange.Outcome, reason exchange.Reason, detail string) {
	rec.Note(exchange.Decision{
		Kind: exchange.Concurrency, Policy: l.state.name, Outcome: outcome, Reason: reason, Detail: detail, Line: l.config.Line,
	})
}

// refusal asks the client to come back in a second to three: if all came back
// at once, most would be refused again.
func (l *Limiter) refusal(r *http.Request, reason exchange.Reason, detail string, class int) *exchange.Refusal {
	after := time.Duration((1 + 2*l.random()) * float64(time.Second))
	header := http.Header{"Retry-After": {strconv.FormatInt(int64(after.Round(time.Second)/time.Second), 10)}}
	if exchange.IsGRPC(r) {
		// Clients repeat what is UNAVAILABLE on their own; this is what they
		// wait for first
		// (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
		header = http.Header{"Grpc-Retry-Pushback-Ms": {strconv.FormatInt(after.Milliseconds(), 10)}}
	}
	st := l.state.load()
	return &exchange.Refusal{
		Kind: exchange.Concurrency, Policy: l.state.name, Reason: reason, Detail: detail, Line: l.config.Line, Header: header,
		Note: fmt.Sprintf("%s; %d of %d in flight, %d queued, class %s",
			detail, st.InFlight, st.Limit, st.Queued, l.state.classes[class]),
	}
}
