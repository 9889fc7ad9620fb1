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

// guard watches one exchange on behalf of deadline.
type guard struct {
	x       *crossing
	limit   limit           // set before the gates are asked
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
	whole     *time.Timer // until the limit; nil if there is none
	over      error       // with which that ends the call
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

// arrive sets when the exchange must be over. The error says that this has
// passed already.
func (g *guard) arrive(longest time.Duration) error {
	rec := &g.x.Record
	g.limit = limitOf(rec, longest)
	rec.Deadline = g.limit.at
	return g.limit.passed(rec)
}

// begin starts the time until the response headers, and returns the context of
// the upstream call. The error says that there is no time left for one.
func (g *guard) begin(ctx context.Context, t times) (context.Context, error) {
	rec := &g.x.Record
	if err := g.limit.passed(rec); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	g.timeout, g.idle, g.base = t.timeout, t.idle, time.Now()
	if t.timeout > 0 {
		g.timer = time.AfterFunc(t.timeout, g.fire)
	}
	if g.limit.isSet() {
		left := g.limit.at.Sub(g.base)
		g.over = g.limit.cause(rec, left, t.timeout)
		g.whole = time.AfterFunc(left, func() { _ = g.overdue() })
	}
	if headers := g.base.Add(t.timeout); t.timeout > 0 && !rec.GRPC && (!g.limit.isSet() || headers.Before(g.limit.at)) {
		rec.Deadline = headers
	}
	g.begun.Store(true)
	return g.ctx, nil
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

// expire ends the exchange for want of response headers. g.mu is held.
func (g *guard) expire() {
	var cause error = timedOut("no response headers", g.timeout)
	if g.x.Record.GRPC && g.x.Record.Uploading() && g.x.body.n.Load() == 0 {
		// The client's side of a gRPC call may stay open as long as it likes,
		// but a server owes no answer to a call without a message.
		cause = &exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.DeadlineExceeded, Note: "no message came"}
	}
	g.unanswered(cause)
}

// unanswered ends an exchange whose answer has not begun. While we wait for the
// client's body, the time was the client's. g.mu is held.
func (g *guard) unanswered(cause error) {
	if rec := &g.x.Record; rec.Uploading() && !rec.GRPC {
		rec.BlameClient(&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.ClientTimeout})
	}
	g.cut(cause)
}

// overdue ends the exchange if its limit has passed, and returns with what;
// else nil. It is asked beside the timer, which may be late: an upstream that
// knows the limit too ends the call in ways that look like a failure.
func (g *guard) overdue() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.whole == nil || g.ended || time.Now().Before(g.limit.at) {
		return nil
	}
	if g.ctx.Err() == nil {
		if g.answering() {
			g.breakOff(g.limit.decision(&g.x.Record), g.over)
		} else {
			g.unanswered(g.over)
		}
	}
	if context.Cause(g.ctx) != g.over {
		return nil // something else has ended it before
	}
	return g.over
}

// answering reports whether the client has got the beginning of its answer, so
// that it can be given no other.
func (g *guard) answering() bool { return g.tunnel || g.x.writer.started.Load() }

// breakOff ends an exchange whose answer has begun, and tells why. g.mu is
// held.
func (g *guard) breakOff(d exchange.Decision, cause error) {
	d.Outcome = exchange.Broken
	g.x.Record.Note(d)
	g.x.Record.Because(d.Reason)
	g.cut(cause)
	// Wake whoever waits for the client, in either direction.
	_ = g.client().SetReadDeadline(longAgo)
	_ = g.client().SetWriteDeadline(longAgo)
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
	if !g.answering() {
		g.cut(stalled) // a gRPC call without response headers: it can still be answered
		return
	}
	d := exchange.Decision{
		Kind: exchange.ByUpstream, Policy: g.x.Record.Asked(), Reason: exchange.StreamIdle,
		Detail: fmt.Sprintf("nothing moved for %v", g.idle),
	}
	if g.x.writer.writing.Load() || g.x.Record.Uploading() && !g.x.Record.GRPC {
		d.Kind, d.Policy = exchange.ByClient, "" // it does not read, or does not go on
	}
	g.breakOff(d, stalled)
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
