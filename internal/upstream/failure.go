package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"sidecar/internal/exchange"
)

// failure returns what err means to a call of host that had come as far as p.
func failure(ctx context.Context, host string, p progress, err error) error {
	if ended := endedBy(ctx, err); ended != nil {
		return ended
	}
	record := exchange.From(ctx)
	if p == unsent && ctx.Err() == nil {
		record.BlameClient(&exchange.Refusal{
			Kind: exchange.ByClient, Reason: exchange.ClientBody, Detail: "the request cannot be forwarded as it is",
		})
	}
	kind := exchange.FailedClient
	if record.ClientFault() == nil {
		kind = p.kind(ctx, err)
	}
	return &exchange.Failure{Kind: kind, Why: late(kind, err), Err: &callError{host, err}, Proxy: proxyError(kind, err)}
}

// The bounds in time that are ours alone: whoever else ends a call says so in
// its context.
var (
	errTLSTimeout    = bound("TLS handshake timeout")
	errHeaderTimeout = bound("timeout awaiting response headers") // net/http's own words
)

// bound is an error of time that has run out.
type bound string

func (b bound) Error() string { return string(b) }

// Timeout says that b is one, as a net.Error does.
func (b bound) Timeout() bool { return true }

// Temporary is there for net.Error.
func (b bound) Temporary() bool { return true }

// late returns which bound of the upstream's ended a call that failed with err;
// empty if none did.
func late(kind exchange.FailureKind, err error) exchange.Reason {
	switch {
	case kind == exchange.FailedConnect && errors.Is(err, errTLSTimeout):
		return exchange.UpstreamTLSTimeout
	case kind == exchange.FailedConnect && (isTimeout(err) || errors.Is(err, context.DeadlineExceeded)):
		return exchange.UpstreamConnectTimeout
	case kind == exchange.FailedTimeout && says(err, string(errHeaderTimeout)):
		return exchange.UpstreamHeaderTimeout
	}
	return ""
}

// endedBy returns the word of our own with which the call was ended: the cause
// of its context, or what the request's body said.
func endedBy(ctx context.Context, err error) error {
	for _, err := range []error{context.Cause(ctx), err} {
		var refusal *exchange.Refusal
		var failure *exchange.Failure
		switch {
		case errors.As(err, &refusal):
			return refusal
		case errors.As(err, &failure):
			return failure
		}
	}
	return nil
}

// kind returns what err means to a call that had come as far as p.
func (p progress) kind(ctx context.Context, err error) exchange.FailureKind {
	switch {
	case ctx.Err() != nil:
		if errors.Is(context.Cause(ctx), context.Canceled) {
			return exchange.FailedClient
		}
		// Whoever else ends a call has waited long enough for it.
		return exchange.FailedTimeout
	case p == unsent, p == uploading, errors.As(err, new(*http.MaxBytesError)):
		return exchange.FailedClient
	case p == connecting:
		return exchange.FailedConnect
	case says(err, "looked like an HTTP/1.1 header"): // protocol: h2c, and the service does not speak it
		return exchange.FailedProtocol
	case p == connected, says(err, unseen...):
		return exchange.FailedBeforeRequest
	case isTimeout(err):
		return exchange.FailedTimeout
	case p == cutOff, isReset(err):
		return exchange.FailedReset
	}
	return exchange.FailedProtocol
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// isReset reports whether err says that a connection or a stream is no more.
func isReset(err error) bool {
	for _, target := range []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return errors.As(err, new(*net.OpError)) || says(err, gone...)
}

// net/http has no exported name for these errors, and wraps some of them as
// text.
var (
	// unseen is what a server promises not to have looked at (RFC 9113
	// sections 6.8 and 8.7).
	unseen = []string{"REFUSED_STREAM", "http2: Transport received"}

	gone = []string{
		"server closed idle connection", "client connection lost", "server sent GOAWAY", "received from peer",
		"client conn is closed", "client conn not usable",
	}
)

// says reports whether the text of err, without what it quotes, has one of
// these parts.
func says(err error, parts ...string) bool {
	text := exchange.Unquoted(err)
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// callError is an error of net/http as the log tells it.
type callError struct {
	host string
	err  error
}

func (e *callError) Error() string { return "calling " + e.host + ": " + exchange.Unquoted(e.err) }

func (e *callError) Unwrap() error { return e.err }
