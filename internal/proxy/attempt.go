package proxy

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/upstream"
)

// attempt tells the observers of each call to up, and up of which one it is.
func (b *builder) attempt(up *upstream.Upstream) []layer {
	observers := b.options.watch
	return []layer{{[]Stage{{Kind: "attempt"}}, func(next http.RoundTripper) http.RoundTripper {
		return exchange.RoundTripFunc(func(r *http.Request) (resp *http.Response, err error) {
			rec := exchange.From(r.Context())
			ctx, a := begin(r, rec.NextAttempt())
			a.Upstream, a.Start = up.Name(), time.Now()
			ctx = observers.Attempt(ctx, rec, a)
			defer func() {
				a.Took = time.Since(a.Start)
				rec.Waited(a.Took)
				a.Status, a.Failure = outcome(rec, resp, err)
				observers.Attempted(ctx, rec, a)
			}()
			if ctx != r.Context() {
				r = r.WithContext(ctx)
			}
			resp, err = next.RoundTrip(numbered(r, rec, a))
			if err != nil {
				err = cmp.Or(crossingOf(r).guard.overdue(), err)
			}
			return resp, err
		})
	}}}
}

// begin returns the n-th attempt of r's exchange, and its context. The first one
// is the crossing's, where nobody has begun to make several at once.
func begin(r *http.Request, n int) (context.Context, *exchange.Attempt) {
	ctx := r.Context()
	if c, ok := ctx.(*callContext); ok && n == 1 {
		x := crossingOf(r)
		x.first = exchange.Attempt{Number: n, Kept: x.own.answer}
		x.Attempt = &x.first
		return c, &x.first
	}
	a := &exchange.Attempt{Number: n}
	return exchange.WithAttempt(ctx, a), a
}

// outcome returns how an attempt ended: a status, or a failure. What the
// client's side of the wire did is no failure of the upstream, whatever it
// looks like from there.
func outcome(rec *exchange.Record, resp *http.Response, err error) (int, *exchange.Failure) {
	if err == nil && resp != nil {
		return resp.StatusCode, nil
	}
	if rec.ClientFault() != nil {
		return 0, &exchange.Failure{Kind: exchange.FailedClient, Err: err}
	}
	if failure, ok := errors.AsType[*exchange.Failure](err); ok {
		return 0, failure
	}
	// A panic of ours, or a shutdown that would wait no longer.
	return 0, &exchange.Failure{Kind: exchange.FailedCancelled, Err: err}
}

// numbered returns r with what changes in its header with each attempt.
func numbered(r *http.Request, rec *exchange.Record, a *exchange.Attempt) *http.Request {
	limit := crossingOf(r).guard.limit
	remaining := limit.isSet() && (rec.GRPC || limit.form != unsaid)
	if a.Number == 1 && !remaining && a.Forward == nil {
		return r
	}
	r = r.WithContext(r.Context()) // it is shared with the other attempts
	r.Header = exchange.HeaderOf(r).Clone()
	if a.Number > 1 {
		r.Header.Set(attemptHeader, strconv.Itoa(a.Number))
	}
	if remaining {
		limit.tell(r.Header, rec.GRPC)
	}
	stripSpellings(r.Header, func(name string) bool { return names(a.Forward, name) })
	forward(r.Header, a.Forward)
	return r
}
