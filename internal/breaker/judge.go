package breaker

import (
	"context"
	"errors"
	"net/http"

	"sidecar/internal/exchange"
)

// How a call ended for the breaker; nil is a success.
var (
	errFailed   = errors.New("breaker: call failed")
	errExcluded = errors.New("breaker: call does not count")
)

// judge says how a call ended. What is not the upstream's doing is excluded:
// it is neither a failure nor a sign of health.
func (b *Breaker) judge(r *http.Request, resp *http.Response, err error) error {
	ctx := r.Context()
	if exchange.From(ctx).ClientFault() != nil || clientLeft(ctx) {
		return errExcluded
	}
	if err == nil {
		if _, failed := b.config.FailureOn.Match(resp, nil); failed {
			return errFailed
		}
		return nil
	}
	if _, ok := errors.AsType[*exchange.Refusal](err); ok {
		return errExcluded
	}
	// An attempt that we ended ourselves surfaces as a cancelled call; why we
	// ended it is in the cause: a perTryTimeout is the upstream's failure.
	if failure, ok := errors.AsType[*exchange.Failure](context.Cause(ctx)); ok {
		err = failure
	}
	if failure, ok := errors.AsType[*exchange.Failure](err); ok && failure.Kind == exchange.FailedClient {
		return errExcluded
	}
	if _, failed := b.config.FailureOn.Match(nil, err); failed {
		return errFailed
	}
	return errExcluded
}

// clientLeft reports whether ctx ended because the client did: the server
// cancels it without a cause of its own, we never do.
func clientLeft(ctx context.Context) bool {
	if err := ctx.Err(); err == nil || !errors.Is(err, context.Canceled) {
		return false
	}
	cause := context.Cause(ctx)
	if refusal, ok := errors.AsType[*exchange.Refusal](cause); ok {
		return refusal.Reason.ClientFault()
	}
	_, ours := errors.AsType[*exchange.Failure](cause)
	return !ours && errors.Is(cause, context.Canceled)
}
