package proxy

import (
	"context"
	"fmt"
	"math"
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
	*bell
	x       *crossing
	limit   limit // set before the gates are asked
	timeout time.Duration
	idle    time.Duration
	base    time.Time
	begun   atomic.Bool  // all above is set
	last    atomic.Int64 // when something moved, since base

	// The mutex of the bell guards all below.
	unwatch   func() bool // ends the watch for the client's leaving; nil: there is none
	over      error       // with which the limit ends the call
	streaming bool
	tunnel    bool // upgraded
	ended     bool
}

// bell rings for one guard after another. It is not stopped at an exchange's end
// and set again at the next one's beginning: whoever it rings for looks whether
// there is anything to do.
type bell struct {
	// mu guards all below. A timer that fires does all its work under it: once
	// end has returned, nothing touches the client's connection any more, which
	// may carry another request by then.
	mu    sync.Mutex
	timer *time.Timer
	due   time.Time // when it fires; zero: perhaps never
	rings *guard    // for whom; nil: for nobody
}

// guardOf returns the guard of the exchange that r is part of.
func guardOf(r *http.Request) *guard {
	x := crossingOf(r)
	x.guard.x, x.guard.bell = x, &x.own.bell
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
	g.rings = g
	g.arm()
	return nil
}

// arm has the bell ring when there is something to do. g.mu is held.
func (g *guard) arm() {
	after, ok := g.next()
	due := g.base.Add(after)
	if !ok || !g.due.IsZero() && !due.Before(g.due) {
		return
	}
	g.due = due
	if g.timer == nil {
		g.timer = time.AfterFunc(time.Until(due), g.ring)
		return
	}
	g.timer.Reset(time.Until(due))
}

// next returns when there is something to do, since base; false: never. g.mu is
// held.
func (g *guard) next() (due time.Duration, ok bool) {
	due = math.MaxInt64
	if g.unwatch == nil {
		due = soon
	}
	if g.limit.isSet() {
		due = min(due, g.limit.at.Sub(g.base))
	}
	switch {
	case g.streaming && g.idle > 0:
		due = min(due, time.Duration(g.last.Load())+g.idle)
	case !g.streaming && g.timeout > 0:
		due = min(due, g.timeout)
	}
	return due, due != math.MaxInt64
}

// ring does what there is to do just then.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = time.Time{}
	if b.rings != nil {
		b.rings.look()
	}
}

// look does what is due. g.mu is held.
func (g *guard) look() {
	if g.x.call.Err() != nil { // the client has left
		g.x.call.wake()
		return
	}
	now := time.Now()
	since := now.Sub(g.base)
	if g.unwatch == nil && since >= soon {
		g.unwatch = context.AfterFunc(g.x.call.Context, g.x.call.wake)
	}
	switch {
	case !g.streaming && g.timeout > 0 && since >= g.timeout:
		g.expire()
	case g.streaming && g.idle > 0 && since-time.Duration(g.last.Load()) >= g.idle:
		g.stall()
	case g.limit.isSet() && !now.Before(g.limit.at):
		g.exceed()
	}
	if g.x.call.Err() == nil {
		g.arm()
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
	g.arm()
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
	g.ended, g.rings = true, nil
	if g.unwatch != nil {
		g.unwatch()
		g.timer.Stop() // it is set for long
		g.due = time.Time{}
	}
	g.x.call.release()
}
