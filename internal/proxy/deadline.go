package proxy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// deadline bounds an exchange in time. timeout runs until the response
// headers; from then on idle bounds how long nothing may move in either
// direction, so that large and endless bodies live. 0 is no bound.
//
// A gRPC call is a stream from its first message on, since its server may send
// headers late; its own grpc-timeout bounds it to its end.
func deadline(timeout, idle time.Duration) exchange.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			g := guardOf(r)
			resp, err := next.RoundTrip(r.WithContext(g.begin(r.Context(), timeout, idle)))
			if err != nil {
				g.end()
				return nil, err
			}
			if !g.stream() {
				resp.Body.Close()
				g.end()
				return nil, context.Cause(g.ctx)
			}
			resp.Body = g.body(resp)
			return resp, nil
		})
	}
}

// timedOut returns the cause with which a guard ends a call.
func timedOut(what string, d time.Duration) error {
	return &exchange.Failure{Kind: exchange.FailedTimeout, Err: fmt.Errorf("%s within %v", what, d)}
}

// guard watches one exchange on behalf of deadline.
type guard struct {
	x       *crossing
	ctx     context.Context // of the upstream call
	cancel  context.CancelCauseFunc
	timeout time.Duration
	idle    time.Duration
	base    time.Time
	begun   atomic.Bool  // all above is set
	last    atomic.Int64 // when something moved, since base

	// mu guards all below. A timer that fires does all its work under it: once
	// end has returned, nothing touches the client's connection any more, which
	// may carry another request by then.
	mu        sync.Mutex
	timer     *time.Timer // until the response headers, then for progress
	whole     *time.Timer // the caller's own deadline; nil if none
	impatient error       // with which that ends the call
	streaming bool
	tunnel    bool // upgraded
	ended     bool
}

// guardOf returns the guard of the exchange that r is part of.
func guardOf(r *http.Request) *guard {
	x := crossingOf(r)
	x.guard.x = x
	return &x.guard
}

// client controls the client's connection.
func (g *guard) client() *http.ResponseController { return http.NewResponseController(&g.x.writer) }

// begin starts the time until the response headers, and returns the context of
// the upstream call.
func (g *guard) begin(ctx context.Context, timeout, idle time.Duration) context.Context {
	rec := &g.x.Record
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	g.timeout, g.idle, g.base = timeout, idle, time.Now()
	if timeout > 0 {
		g.timer = time.AfterFunc(timeout, g.fire)
	}
	if rec.GRPC {
		if limit, ok := grpcTimeout(rec.RequestHeader); ok {
			rec.Deadline = g.base.Add(limit)
			g.impatient = impatient(limit, timeout)
			g.whole = time.AfterFunc(limit, func() { _ = g.overdue() })
		}
	} else if timeout > 0 {
		rec.Deadline = g.base.Add(timeout)
	}
	g.begun.Store(true)
	return g.ctx
}

// fire does what the timer is for just then.
func (g *guard) fire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.ended:
	case g.streaming:
		g.watch()
	default:
		g.expire()
	}
}

// expire ends the exchange for want of response headers. While we wait for
// the client's body, the time was the client's. g.mu is held.
func (g *guard) expire() {
	cause := timedOut("no response headers", g.timeout)
	switch {
	case !g.x.Record.Uploading():
	case !g.x.Record.GRPC:
		g.x.Record.BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientTimeout})
	case g.x.body.n.Load() == 0:
		// The client's side of a gRPC call may stay open as long as it likes,
		// but a server owes no answer to a call without a message.
		cause = &exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.DeadlineExceeded, Note: "no message came"}
	}
	g.cut(cause)
}

// impatient returns the cause with which a call ends at its caller's own
// deadline. It is the upstream's failure if that had as long as the route
// gives it; else callers could, with a short one, open everybody's breaker.
func impatient(limit, timeout time.Duration) error {
	if timeout > 0 && limit >= timeout {
		return timedOut("grpc-timeout: no end of the call", limit)
	}
	return &exchange.Refusal{
		Kind: exchange.ByClient, Reason: exchange.DeadlineExceeded, Note: fmt.Sprintf("grpc-timeout of %v", limit),
	}
}

// overdue ends the call if its caller has stopped waiting, and returns with
// what; else nil. It is asked beside the timer, which may be late: the upstream
// knows the deadline too, and ends the call in ways that look like a failure.
func (g *guard) overdue() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.whole == nil || g.ended || time.Now().Before(g.x.Record.Deadline) {
		return nil
	}
	if g.ctx.Err() == nil {
		g.cut(g.impatient)
	}
	if context.Cause(g.ctx) != g.impatient {
		return nil // something else has ended it before
	}
	return g.impatient
}

// cut ends the call. A wait for the client's body is woken by its connection's
// read deadline, as no context does.
func (g *guard) cut(cause error) {
	if g.x.body.abort(cause) {
		_ = g.client().SetReadDeadline(longAgo) // where that is not supported, the cancel has to do
	}
	g.cancel(cause)
}

var longAgo = time.Unix(1, 0)

// stream goes from waiting for the response headers to watching for progress.
// It reports false when the wait had ended the exchange already.
func (g *guard) stream() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return false
	}
	if g.streaming || g.ended {
		return true
	}
	g.streaming = true
	g.progress()
	switch {
	case g.timer == nil && g.idle > 0:
		g.timer = time.AfterFunc(g.idle, g.fire)
	case g.timer != nil && g.idle > 0:
		g.timer.Reset(g.idle)
	case g.timer != nil:
		g.timer.Stop()
	}
	return true
}

func (g *guard) progress() { g.last.Store(int64(time.Since(g.base))) }

// moved notes that a part of the client's body has come. It may be called
// before begin.
func (g *guard) moved() {
	if !g.begun.Load() {
		return
	}
	if g.x.Record.GRPC {
		g.stream()
	}
	g.progress()
}

// watch ends the exchange when nothing has moved for idle, else looks again
// when that could be so. g.mu is held.
func (g *guard) watch() {
	quiet := time.Since(g.base) - time.Duration(g.last.Load())
	if quiet < g.idle {
		g.timer.Reset(g.idle - quiet)
		return
	}
	stalled := timedOut("no progress", g.idle)
	if !g.x.writer.started.Load() && !g.tunnel {
		g.cut(stalled) // a gRPC call without response headers: it can still be answered
		return
	}
	kind, policy := exchange.ByUpstream, g.x.Record.Upstream
	if g.x.writer.writing.Load() || g.x.Record.Uploading() && !g.x.Record.GRPC {
		kind, policy = exchange.ByClient, "" // it does not read, or does not go on
	}
	g.x.Record.Note(exchange.Decision{
		Kind: kind, Policy: policy, Outcome: exchange.Broken, Reason: exchange.StreamIdle,
		Detail: fmt.Sprintf("nothing moved for %v", g.idle),
	})
	g.x.Record.Because(exchange.StreamIdle)
	g.cut(stalled)
	// Wake whoever waits for the client, in either direction.
	_ = g.client().SetReadDeadline(longAgo)
	_ = g.client().SetWriteDeadline(longAgo)
}

// end releases everything. It may be called more than once.
func (g *guard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	if g.timer != nil {
		g.timer.Stop()
	}
	if g.whole != nil {
		g.whole.Stop()
	}
	g.cancel(nil)
}
