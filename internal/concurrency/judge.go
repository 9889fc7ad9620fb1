package concurrency

import (
	"errors"
	"net/http"

	"sidecar/internal/exchange"
)

// verdict is what the end of a call says of the upstream's capacity.
type verdict int

const (
	nothing verdict = iota
	served          // so long did it take
	failed          // it could not keep up
)

// overload are the ends of a call that speak of too much to do. A 500 does not:
// a mistake in the application must not shut out those who meet no mistake.
var overload = exchange.Conditions{
	exchange.Condition(exchange.FailedTimeout), exchange.Condition(exchange.FailedConnect),
	exchange.Condition(exchange.FailedReset), exchange.Condition(exchange.FailedBeforeRequest),
	"429", "502", "503", "504", "grpc-unavailable", "grpc-resource-exhausted", "grpc-deadline-exceeded",
}

// judge says how c ended. What is not the upstream's doing says nothing: a
// refusal, a fallback, another upstream that stood in, a client that left.
func judge(r *http.Request, rec *exchange.Record, c call, resp *http.Response, err error) verdict {
	ctx := r.Context()
	if rec.ClientFault() != nil || rec.Attempts() == c.attempts || rec.Diverted() != "" {
		return nothing
	}
	if err == nil {
		if _, bad := overload.Match(resp, nil); bad {
			return failed
		}
		if resp.StatusCode >= http.StatusInternalServerError {
			return nothing // it may not have done what takes the time
		}
		return served
	}
	if _, ours := errors.AsType[*exchange.Refusal](err); ours {
		return nothing
	}
	// A call that the route's timeout ended surfaces as a cancelled one.
	if ctx.Err() != nil {
		err = exchange.Ended(ctx)
	}
	if _, bad := overload.Match(nil, err); bad {
		return failed
	}
	return nothing
}
