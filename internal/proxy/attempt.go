package proxy

import (
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
			ctx, end := observers.Attempt(exchange.WithAttempt(r.Context(), a), rec, a)
			defer func() {
				a.Took = time.Since(a.Start)
				rec.Waited(a.Took)
				if err == nil && resp != nil {
					a.Status = resp.StatusCode
				}
				errors.As(err, &a.Failure)
				end()
			}()
			r = r.WithContext(ctx)
			tell(r, rec, a.Number)
			return next.RoundTrip(r)
		})
	}}}
}

// tell puts into the header of r what changes with each attempt.
func tell(r *http.Request, rec *exchange.Record, number int) {
	remaining := rec.GRPC && !rec.Deadline.IsZero()
	if number == 1 && !remaining {
		return
	}
	r.Header = r.Header.Clone() // it is shared with the other attempts
	if number > 1 {
		r.Header.Set(attemptHeader, strconv.Itoa(number))
	}
	if remaining {
		r.Header.Set(grpcTimeoutHeader, formatGRPCTimeout(time.Until(rec.Deadline)))
	}
}
