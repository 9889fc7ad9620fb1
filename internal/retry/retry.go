// Package retry repeats upstream calls that failed and are safe to repeat.
//
// It stands between the breaker's two places, outside the faults:
//
//	breaker.Admit( retry( breaker.Count( fault( upstream ))))
//
// so that each attempt asks the breaker and counts, and an injected fault is
// repeated like a real failure.
//
// A call is repeated only if nothing was sent, or the method is idempotent
// (RFC 9110 section 9.2.2), or the request carries an Idempotency-Key; and if
// its body could be kept, the upstream's budget allows it and there is time.
// What keeps a wanted repetition from happening is noted on the record.
//
// A hedge is another attempt beside one that does not answer, for requests that
// may be made twice at once. It counts as an attempt, and spends the same budget.
package retry

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"sidecar/internal/exchange"
)

// Retry repeats calls as one policy says. It is safe for concurrent use.
type Retry struct {
	name       string
	config     Config
	budget     *Budget
	times      *Times // nil: no hedge waits for a percentile
	random     func() float64
	onTimeouts bool // whether a timeout is worth another call
	rooms      rooms
}

// New returns a Retry that behaves as c says, within b. c must be valid. times
// are those of the calls that the Retry makes, for the percentile of c's hedge;
// nil where it has none. random draws from [0,1).
func New(name string, c Config, b *Budget, times *Times, random func() float64) *Retry {
	return &Retry{
		name: name, config: c, budget: b, times: times, random: random,
		onTimeouts: slices.Contains(c.RetryOn, exchange.Condition(exchange.FailedTimeout)),
	}
}

// Wrap returns a RoundTripper that calls next, and calls it again as r allows.
// It returns what the last attempt came to, or the first good answer of those
// that ran at once; the responses of others are closed. A *exchange.Refusal
// from next is returned at once. It never closes the request's body: the
// client's is not ours to close.
//
// With hedges, next must return soon after the request's context has ended. An
// attempt that another has overtaken may end after the call has returned.
func (r *Retry) Wrap(next http.RoundTripper) http.RoundTripper {
	call := r.roundTrip
	switch {
	case r.config.MaxAttempts == 1:
		return next
	case r.config.Mode == exchange.ModeShadow:
		call = r.shadow
	}
	return exchange.RoundTripFunc(func(req *http.Request) (*http.Response, error) { return call(next, req) })
}

// shadow calls once, and notes what else would have been done.
func (r *Retry) shadow(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := next.RoundTrip(req)
	if r.hedges(req) > 0 {
		took := time.Since(start)
		if after, known := r.patience(); known && took > after {
			r.note(req, exchange.Shadow, exchange.Hedged, hedged(2, after))
		}
		r.learn(took, resp, err)
	}
	if word, matched := r.config.RetryOn.Match(resp, err); matched && r.mayRepeat(req, err) {
		r.note(req, exchange.Shadow, exchange.Reason(word), "attempt 2 after "+ending(word, resp, err))
	}
	return resp, err
}

func (r *Retry) roundTrip(next http.RoundTripper, req *http.Request) (*http.Response, error) {
	r.budget.first()
	body, hedges := newReplay(req, int64(r.config.MaxBufferedBody)), r.hedges(req)
	if body != nil {
		body.rooms = &r.rooms
		defer body.release()
	}
	for n := 1; ; n++ {
		begun, resp, err := r.call(next, req, body, n, hedges)
		n, hedges = n+begun, hedges-begun
		if err != nil {
			body.end()
		}
		if n == r.config.MaxAttempts {
			return resp, err
		}
		word, matched := r.config.RetryOn.Match(resp, err)
		if !matched || !r.mayRepeat(req, err) {
			return resp, err
		}
		if refusal := exchange.From(req.Context()).CalledNoMore(); refusal != nil {
			discard(resp)
			body.end()
			return nil, refusal // without a wait for it
		}
		wait, reason, ok := r.again(req, resp, body, n)
		if reason != "" {
			r.note(req, exchange.Broken, reason, "")
		}
		if !ok {
			return resp, err
		}
		after := ending(word, resp, err)
		discard(resp)
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
		r.note(req, exchange.Act, exchange.Reason(word), "attempt "+strconv.Itoa(n+1)+" after "+after)
	}
}

// mayRepeat reports whether doing the request again does no harm, after an
// attempt that ended with err, and anybody waits for it.
func (r *Retry) mayRepeat(req *http.Request, err error) bool {
	rec := exchange.From(req.Context())
	failure, failed := errors.AsType[*exchange.Failure](err)
	return (failed && failure.NothingSent() || r.repeatable(req)) &&
		req.Context().Err() == nil && rec.ClientFault() == nil && !rec.CalledOnce()
}

// repeatable reports whether req does no harm if the upstream acted already.
func (r *Retry) repeatable(req *http.Request) bool {
	return slices.Contains(r.config.Methods, req.Method) || exchange.HeaderOf(req).Get("Idempotency-Key") != ""
}

// again returns how long to wait before the attempt after the n-th. If there
// is to be none, ok is false and reason says why, where it is worth a word.
func (r *Retry) again(req *http.Request, resp *http.Response, body *replay, n int) (wait time.Duration, reason exchange.Reason, ok bool) {
	if !body.whole() {
		return 0, exchange.BodyNotReplayable, false
	}
	wait, asked, never := askedWait(resp, time.Now())
	switch {
	case never:
		return 0, "", false // the upstream's own word
	case asked && wait > r.config.RetryAfter.Max:
		return 0, exchange.RetryAfterTooLong, false
	case !asked:
		wait = r.config.Backoff.wait(n, r.random())
	}
	deadline := exchange.From(req.Context()).Deadline
	if !deadline.IsZero() && !time.Now().Add(wait).Before(deadline) {
		if asked {
			return 0, exchange.RetryAfterTooLong, false
		}
		return 0, "", false
	}
	// Last: what is taken from the budget is spent.
	if !r.budget.spend() {
		return 0, exchange.BudgetExhausted, false
	}
	// Not sooner: an answer that is passed on does not end its upload.
	if !body.next() {
		return 0, exchange.BodyNotReplayable, false
	}
	return wait, "", true
}

func (r *Retry) note(req *http.Request, outcome exchange.Outcome, reason exchange.Reason, detail string) {
	exchange.From(req.Context()).Note(exchange.Decision{
		Kind: exchange.Retry, Policy: r.name, Outcome: outcome, Reason: reason, Detail: detail, Line: r.config.Line,
	})
}

// ending says in a word how an attempt ended that met the condition word.
func ending(word exchange.Condition, resp *http.Response, err error) string {
	if err != nil || resp.StatusCode < 400 { // a failure, or a gRPC status
		return string(word)
	}
	return strconv.Itoa(resp.StatusCode)
}

// pause waits for d. It fails when nobody waits for the answer any more.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return exchange.Ended(ctx)
	}
	if fault := exchange.From(ctx).ClientFault(); fault != nil {
		return fault
	}
	return nil
}
