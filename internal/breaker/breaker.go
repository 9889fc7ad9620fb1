// Package breaker pauses the calls to an upstream that keeps failing, and
// finds out gently when it has recovered.
//
// It stands at two places of the chain, around retry and inside it:
//
//	Admit( retry( Count( upstream )))
//
// Admit refuses while the breaker is open, before anything is buffered. Count
// asks again before every attempt and learns how it ended: retries hide
// nothing from the breaker, and an open breaker ends the retries.
//
// The state machine is gobreaker's. The window, the growing pause, the bound
// on probes and the forced states are ours.
package breaker

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// Breaker is a State as one policy of one snapshot uses it. It is safe for
// concurrent use.
type Breaker struct {
	config Config
	state  *State
}

// New returns a Breaker that judges by c and keeps its state in s. c must be
// valid, and equal, but for its lines, to the Config that s was made with.
func New(c Config, s *State) *Breaker {
	return &Breaker{config: c, state: s}
}

// Admit returns a RoundTripper that calls next unless the breaker is open or
// has probes enough. It answers with the fallback, if there is one, in place
// of this breaker's refusals: its own and those that Count made further in.
func (b *Breaker) Admit(next http.RoundTripper) http.RoundTripper {
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		if reason, wait := b.state.look(); reason != "" {
			refusal := b.refusal(reason, wait)
			if b.shadow() {
				exchange.From(r.Context()).Note(refusal.Shadowed())
				return next.RoundTrip(r)
			}
			exchange.CloseBody(r)
			return b.fallback(r, refusal)
		}
		exchange.From(r.Context()).Note(exchange.Decision{
			Kind: exchange.CircuitBreaker, Policy: b.state.name, Outcome: exchange.Pass, Line: b.config.Line,
		})
		resp, err := next.RoundTrip(r)
		if refusal, ok := b.own(err); ok {
			return b.fallback(r, refusal)
		}
		return resp, err
	})
}

// Count returns a RoundTripper that asks the breaker before it calls next,
// and counts how the call ended, known at the response's headers. A body that
// breaks later does not count.
func (b *Breaker) Count(next http.RoundTripper) http.RoundTripper {
	return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
		t, reason, wait := b.state.enter()
		if reason != "" && b.shadow() {
			return next.RoundTrip(r) // not counted either: it would not have been made
		}
		if reason != "" {
			exchange.CloseBody(r)
			return nil, b.refusal(reason, wait)
		}
		// A probe that never ends would keep the breaker half-open for ever,
		// so a panic has to leave too, and says nothing of the upstream.
		end := errExcluded
		defer func() { b.state.leave(t, end) }()

		resp, err := next.RoundTrip(r)
		end = b.judge(r, resp, err)
		return resp, err
	})
}

// shadow reports whether the breaker counts and moves as ever, and lets
// everything by.
func (b *Breaker) shadow() bool { return b.config.Mode == exchange.ModeShadow }

// How a call ended for the breaker; nil is a success.
var (
	errFailed   = errors.New("breaker: call failed")
	errExcluded = errors.New("breaker: call does not count")
)

// judge says how a call ended. What is not the upstream's doing is excluded:
// it is neither a failure nor a sign of health.
func (b *Breaker) judge(r *http.Request, resp *http.Response, err error) error {
	ctx := r.Context()
	if exchange.From(ctx).ClientFault() != nil || clientLeft(ctx) {
		return errExcluded
	}
	if err == nil {
		if _, failed := b.config.FailureOn.Match(resp, nil); failed {
			return errFailed
		}
		return nil
	}
	if _, ok := errors.AsType[*exchange.Refusal](err); ok {
		return errExcluded
	}
	// An attempt that we ended ourselves surfaces as a cancelled call; why we
	// ended it is in the cause: a perTryTimeout is the upstream's failure.
	if failure, ok := errors.AsType[*exchange.Failure](context.Cause(ctx)); ok {
		err = failure
	}
	if failure, ok := errors.AsType[*exchange.Failure](err); ok && failure.Kind == exchange.FailedClient {
		return errExcluded
	}
	if _, failed := b.config.FailureOn.Match(nil, err); failed {
		return errFailed
	}
	return errExcluded
}

// clientLeft reports whether ctx ended because the client did: the server
// cancels it without a cause of its own, we never do.
func clientLeft(ctx context.Context) bool {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	cause := context.Cause(ctx)
	if refusal, ok := errors.AsType[*exchange.Refusal](cause); ok {
		return refusal.Reason.ClientFault()
	}
	_, ours := errors.AsType[*exchange.Failure](cause)
	return !ours && errors.Is(cause, context.Canceled)
}

// own returns err as a refusal of this very breaker.
func (b *Breaker) own(err error) (*exchange.Refusal, bool) {
	refusal, ok := errors.AsType[*exchange.Refusal](err)
	return refusal, ok && refusal.Kind == exchange.CircuitBreaker && refusal.Policy == b.state.name
}

// refusal returns the answer to a call that may try again after wait. A
// client counts in whole seconds (RFC 9110 section 10.2.3).
func (b *Breaker) refusal(reason exchange.Reason, wait time.Duration) *exchange.Refusal {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	return &exchange.Refusal{
		Kind: exchange.CircuitBreaker, Policy: b.state.name, Reason: reason, Line: b.config.Line,
		Header: http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}},
	}
}

// fallback answers r in place of refusal, if it can: a gRPC client could not
// read an HTTP answer.
func (b *Breaker) fallback(r *http.Request, refusal *exchange.Refusal) (*http.Response, error) {
	f := b.config.Fallback
	if f == nil || exchange.IsGRPC(r) {
		return nil, refusal
	}
	exchange.From(r.Context()).Note(exchange.Decision{
		Kind: exchange.CircuitBreaker, Policy: b.state.name, Outcome: exchange.Act,
		Reason: exchange.FallbackServed, Detail: string(refusal.Reason), Line: f.Line,
	})
	var header http.Header
	if f.Status == http.StatusServiceUnavailable {
		header = refusal.Header // any other status says nothing of coming back
	}
	return exchange.NewResponse(r, f.Status, f.ContentType, []byte(f.Body), header), nil
}
