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

// soon is how long a call takes that goes well. Only one that takes longer is
// watched for the client's leaving, and then with one timer for all: what is
// over sooner costs neither.
const soon = 20 * time.Millisecond

// guard watches one exchange on behalf of deadline.
type guard struct {
	x       *crossing
	limit   limit // set before the gates are asked
	timeout time.Duration
	idle    time.Duration
	base    time.Time
	begun   atomic.Bool  // all above is set
	last    atomic.Int64 // when something moved, since base

	// mu guards all below. A timer that fires does all its work under it: once
	// end has returned, nothing touches the client's connection any more, which
	// may carry another request by then.
	mu        sync.Mutex
	due       time.Time   // when the timer fires; zero: it does not
	unwatch   func() bool // ends the watch for the client's leaving; nil: there is none
	over      error       // with which the limit ends the call
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

// begin starts the time until the response headers. The error says that there
// is no time left for a call.
func (g *guard) begin(t times) error {
	rec := &g.x.Record
	if err := g.limit.passed(rec); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timeout, g.idle, g.base = t.timeout, t.idle, time.Now()
	if g.limit.isSet() {
		g.over = g.limit.cause(rec, g.limit.at.Sub(g.base), t.timeout)
	}
	if headers := g.base.Add(t.timeout); t.timeout > 0 && !rec.GRPC && (!g.limit.isSet() || headers.Before(g.limit.at)) {
		rec.Deadline = headers
	}
	g.begun.Store(true)
	g.arm(g.base)
	return nil
}

// arm has the timer fire when there is something to do. g.mu is held.
func (g *guard) arm(now time.Time) {
	due := g.next()
	if due.IsZero() {
		return
	}
	pending := !g.due.IsZero()
	g.due = due
	if g.x.own.timer == nil {
		g.x.own.timer = time.AfterFunc(due.Sub(now), g.fire)
		return
	}
	if !g.x.own.timer.Reset(due.Sub(now)) && pending {
		g.x.lent.Store(true) // it fires just now, and will once more
	}
}

// next returns when there is something to do; zero: never. g.mu is held.
func (g *guard) next() (due time.Time) {
	sooner := func(at time.Time) {
		if due.IsZero() || at.Before(due) {
			due = at
		}
	}
	if g.unwatch == nil {
		sooner(g.base.Add(soon))
	}
	if g.limit.isSet() {
		sooner(g.limit.at)
	}
	switch {
	case g.streaming && g.idle > 0:
		sooner(g.base.Add(time.Duration(g.last.Load()) + g.idle))
	case !g.streaming && g.timeout > 0:
		sooner(g.base.Add(g.timeout))
	}
	return due
}

// fire does what there is to do just then.
func (g *guard) fire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = time.Time{}
	if g.ended {
		return
	}
	if g.x.call.Err() != nil { // the client has left
		g.x.call.wake()
		return
	}
	if g.unwatch == nil {
		g.unwatch = context.AfterFunc(g.x.call.Context, g.x.call.wake)
	}
	now := time.Now()
	switch since := now.Sub(g.base); {
	case !g.streaming && g.timeout > 0 && since >= g.timeout:
		g.expire()
	case g.streaming && g.idle > 0 && since-time.Duration(g.last.Load()) >= g.idle:
		g.stall()
	case g.limit.isSet() && !now.Before(g.limit.at):
		g.exceed()
	}
	if g.x.call.Err() == nil {
		g.arm(now)
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
	if !g.limit.isSet() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended || !g.begun.Load() || time.Now().Before(g.limit.at) {
		return nil
	}
	g.exceed()
	if context.Cause(&g.x.call) != g.over {
		return nil // something else has ended it before
	}
	return g.over
}

// exceed ends the exchange at its limit, unless something has ended it before.
// g.mu is held.
func (g *guard) exceed() {
	switch {
	case g.x.call.Err() != nil:
	case g.answering():
		g.breakOff(g.limit.decision(&g.x.Record), g.over)
	default:
		g.unanswered(g.over)
	}
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
// read deadline, as no context does. g.mu is held.
func (g *guard) cut(cause error) {
	if g.x.body.abort(cause) {
		_ = g.client().SetReadDeadline(longAgo) // where that is not supported, the cancel has to do
	}
	g.x.call.end(cause)
}

var longAgo = time.Unix(1, 0)

// stream goes from waiting for the response headers to watching for progress.
// It reports false when the wait had ended the exchange already.
func (g *guard) stream() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.x.call.Err() != nil {
		return false
	}
	if g.streaming || g.ended {
		return true
	}
	g.streaming = true
	g.progress()
	// A timer that fires too soon looks when to fire again, and most calls are
	// over by then.
	if due := g.next(); !due.IsZero() && (g.due.IsZero() || due.Before(g.due)) {
		g.arm(time.Now())
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

// stall ends the exchange since nothing has moved for idle. g.mu is held.
func (g *guard) stall() {
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
	if !g.due.IsZero() && !g.x.own.timer.Stop() {
		g.x.lent.Store(true) // it fires just now
	}
	g.due = time.Time{}
	if g.unwatch != nil {
		g.unwatch()
	}
	g.x.call.release()
}
