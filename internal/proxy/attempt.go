package proxy

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"sidecar/internal/exchange"
	"sidecar/internal/upstream"
)

// attempt tells the observers of each call to up, and up of which one it is.
func (b *builder) attempt(up *upstream.Upstream) []layer {
	observers := b.options.Observers
	return []layer{{[]Stage{{Kind: "attempt"}}, func(next http.RoundTripper) http.RoundTripper {
		return exchange.RoundTripFunc(func(r *http.Request) (resp *http.Response, err error) {
			rec := exchange.From(r.Context())
			a := &exchange.Attempt{Number: rec.NextAttempt(), Upstream: up.Name(), Start: time.Now()}
			ctx := observers.Attempt(exchange.WithAttempt(r.Context(), a), rec, a)
			defer func() {
				a.Took = time.Since(a.Start)
				rec.Waited(a.Took)
				a.Status, a.Failure = outcome(rec, resp, err)
				observers.Attempted(ctx, rec, a)
			}()
			r = r.WithContext(ctx)
			tell(r, rec, a)
			resp, err = next.RoundTrip(r)
			if err != nil {
				err = cmp.Or(crossingOf(r).guard.overdue(), err)
			}
			return resp, err
		})
	}}}
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

// tell puts into the header of r what changes with each attempt.
func tell(r *http.Request, rec *exchange.Record, a *exchange.Attempt) {
	limit := crossingOf(r).guard.limit
	remaining := limit.isSet() && (rec.GRPC || limit.form != unsaid)
	if a.Number == 1 && !remaining && a.Forward == nil {
		return
	}
	r.Header = r.Header.Clone() // it is shared with the other attempts
	if a.Number > 1 {
		r.Header.Set(attemptHeader, strconv.Itoa(a.Number))
	}
	if remaining {
		limit.tell(r.Header, rec.GRPC)
	}
	stripSpellings(r.Header, func(name string) bool { return names(a.Forward, name) })
	forward(r.Header, a.Forward)
}
