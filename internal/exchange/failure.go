package exchange

import (
	"context"
	"errors"
	"fmt"
)

// FailureKind says how an upstream call failed.
type FailureKind string

const (
	// FailedConnect: no connection came about. Nothing was sent.
	FailedConnect FailureKind = "connect-failure"
	// FailedBeforeRequest: the connection broke before the request was
	// written. Nothing was sent.
	FailedBeforeRequest FailureKind = "reset-before-request"
	// FailedReset: the connection broke after that. The upstream may have
	// acted on the request.
	FailedReset FailureKind = "reset"
	// FailedTimeout: no answer in time.
	FailedTimeout FailureKind = "timeout"
	// FailedProtocol: the answer was not HTTP.
	FailedProtocol FailureKind = "protocol"
	// FailedCancelled: the proxy itself ended the call.
	FailedCancelled FailureKind = "cancelled"
	// FailedClient: the client's body or the client itself failed; the
	// upstream is not to blame.
	FailedClient FailureKind = "client"
)

// Failure is what went wrong with one upstream call. The upstream and the
// faults return it; breaker, retry, seam and metrics read it with errors.As.
type Failure struct {
	Kind FailureKind
	Err  error

	// Why is the word in which the client hears of it, where more is known than
	// the kind tells: which of several bounds in time ended the call. Empty:
	// that of the kind.
	Why Reason

	// Proxy is the error type of Proxy-Status, where more is known than the
	// reason tells (RFC 9209 section 2.3); empty: that of the reason.
	Proxy string
}

// Error returns the kind and what lies under it.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Kind, f.Err) }

// Unwrap returns what lies under f.
func (f *Failure) Unwrap() error { return f.Err }

// NothingSent reports whether the upstream cannot have seen the request, so
// that any method may be repeated (RFC 9110 section 9.2.2).
func (f *Failure) NothingSent() bool {
	return f.Kind == FailedConnect || f.Kind == FailedBeforeRequest
}

// Reason returns the word in which the client hears of f.
func (f *Failure) Reason() Reason {
	if f.Why != "" {
		return f.Why
	}
	switch f.Kind {
	case FailedConnect:
		return UpstreamConnect
	case FailedBeforeRequest, FailedReset:
		return UpstreamReset
	case FailedTimeout:
		return UpstreamTimeout
	case FailedProtocol:
		return UpstreamProtocol
	case FailedClient:
		return ClientClosed
	case FailedCancelled:
		return InternalError
	}
	return InternalError
}

// Ended returns why ctx, of an upstream call, has ended: the Refusal or the
// Failure that is its cause; the client's leaving, of which the server makes a
// plain cancel; else whoever ended it has waited long enough.
func Ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if refusal, ok := errors.AsType[*Refusal](cause); ok {
		return refusal
	}
	if failure, ok := errors.AsType[*Failure](cause); ok {
		return failure
	}
	if errors.Is(cause, context.Canceled) {
		return &Failure{Kind: FailedClient, Err: cause}
	}
	return &Failure{Kind: FailedTimeout, Err: cause}
}
