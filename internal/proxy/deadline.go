package proxy

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"sidecar/internal/exchange"
)

// times bound an upstream call in time; 0 is no bound.
type times struct {
	timeout time.Duration // from when it has passed the gates to the response headers
	idle    time.Duration // from then on, while nothing moves in either direction
}

// deadline bounds an exchange in time. timeout runs until the response
// headers; from then on idle bounds how long nothing may move in either
// direction, so that large and endless bodies live. What must be over at its
// limit ends then, whatever it is doing.
//
// A gRPC call is a stream from its first message on, since its server may send
// headers late; its own grpc-timeout bounds it to its end.
func deadline(t times) exchange.Layer {
	return func(next http.RoundTripper) http.RoundTripper {
		return exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			g := guardOf(r)
			r = g.x.call.on(r)
			if err := g.begin(t); err != nil {
				exchange.CloseBody(r)
				return nil, err
			}
			answered := false
			defer func() {
				if !answered { // also when something panics
					g.end()
				}
			}()
			resp, err := next.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			if !g.stream() {
				resp.Body.Close()
				return nil, context.Cause(&g.x.call)
			}
			resp.Body = g.body(resp)
			answered = true
			return resp, nil
		})
	}
}

// timedOut returns the cause with which a guard ends a call.
func timedOut(what string, d time.Duration) *exchange.Failure {
	return &exchange.Failure{Kind: exchange.FailedTimeout, Err: fmt.Errorf("%s within %v", what, d)}
}

// limit is when an exchange must be over, its body's end included, and who
// says so. The zero limit is none.
type limit struct {
	at     time.Time
	after  time.Duration // the request's arrival
	caller bool          // its caller says so, else its route
	form   timeoutForm   // in which the caller has said it in X-Request-Timeout
}

// limitOf returns when the exchange must be over: when its caller stops
// waiting or when its route has it end, whichever comes first. The caller's
// time runs from the request's arrival, which is when it began to wait.
func limitOf(rec *exchange.Record, longest time.Duration) limit {
	after, form, caller := callerTimeout(rec)
	if longest > 0 && (!caller || longest < after) {
		after, caller = longest, false
	} else if !caller {
		return limit{}
	}
	return limit{at: rec.Start.Add(after), after: after, caller: caller, form: form}
}

// tell puts into h how much is left until the limit, where an upstream looks
// for that: every gRPC server knows grpc-timeout, and who gets an
// X-Request-Timeout from its callers knows that.
func (l limit) tell(h http.Header, grpc bool) {
	left := time.Until(l.at)
	if grpc {
		h.Set(grpcTimeoutHeader, formatGRPCTimeout(left))
	}
	if l.form != unsaid {
		h.Set(requestTimeoutHeader, formatRequestTimeout(left, l.form))
	}
}

// isSet reports whether there is a limit.
func (l limit) isSet() bool { return !l.at.IsZero() }

// within returns d, or what is left until the limit if that is less.
func (l limit) within(d time.Duration) time.Duration {
	if !l.isSet() {
		return d
	}
	return min(d, time.Until(l.at))
}

// passed returns what is told of an exchange whose limit has passed before
// there was a call; nil while it has not.
func (l limit) passed(rec *exchange.Record) error {
	if !l.isSet() || time.Now().Before(l.at) {
		return nil
	}
	return l.refusal(rec)
}

// refusal says that the exchange is over, and that this is nobody's failure.
func (l limit) refusal(rec *exchange.Record) *exchange.Refusal {
	d := l.decision(rec)
	return &exchange.Refusal{Kind: d.Kind, Policy: d.Policy, Reason: d.Reason, Note: d.Detail}
}

func (l limit) decision(rec *exchange.Record) exchange.Decision {
	if l.caller {
		return exchange.Decision{
			Kind: exchange.ByClient, Reason: exchange.DeadlineExceeded,
			Detail: fmt.Sprintf("its caller waits %v", l.after),
		}
	}
	return exchange.Decision{
		Kind: exchange.ByRoute, Policy: rec.Route, Reason: exchange.MaxDuration,
		Detail: fmt.Sprintf("no end within %v", l.after),
	}
}

// cause returns with what a call ends at the limit, which had so long until
// then. It is the upstream's failure if that had as long as the route gives
// it, but for a tenth that gates may have taken; else callers could, with a
// short limit, open everybody's breaker.
func (l limit) cause(rec *exchange.Record, had, timeout time.Duration) error {
	fair := had >= timeout-timeout/10
	switch {
	case !fair, l.caller && (timeout == 0 || l.after < timeout):
		return l.refusal(rec)
	case l.caller:
		return timedOut("no end of the call", l.after)
	}
	f := timedOut("no end of the call", l.after)
	f.Why = exchange.MaxDuration
	return f
}
