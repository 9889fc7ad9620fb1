package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"

	"sidecar/internal/exchange"
)

// proxyError returns the error type of Proxy-Status (RFC 9209 section 2.3) that
// says more of err than the kind of failure does; empty if there is none.
func proxyError(kind exchange.FailureKind, err error) string {
	switch {
	case kind == exchange.FailedConnect:
		return connectError(err)
	// TLS 1.3 lets a client send before the server has looked at its
	// certificate: the alert comes in the answer's place.
	case (kind == exchange.FailedReset || kind == exchange.FailedBeforeRequest) && isAlert(err):
		return "tls_alert_received"
	}
	return ""
}

// connectError returns what a dial that failed is called.
func connectError(err error) string {
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		if name.IsTimeout {
			return "dns_timeout"
		}
		return "dns_error"
	}
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case isTimeout(err), is(context.DeadlineExceeded):
		return "connection_timeout"
	case is(syscall.ECONNREFUSED):
		return "connection_refused"
	case is(syscall.EHOSTUNREACH, syscall.ENETUNREACH):
		return "destination_ip_unroutable"
	case isAlert(err):
		return "tls_alert_received"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "tls_certificate_error"
	case is(io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE):
		return "connection_terminated"
	case errors.As(err, new(tls.RecordHeaderError)), says(err, "tls: "):
		return "tls_protocol_error"
	}
	return "" // destination_unavailable
}

// isAlert reports whether err is what the other side says in TLS. The alert
// itself has no exported type.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
