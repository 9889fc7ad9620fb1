package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidecar/internal/exchange"
)

// dials makes every dial of u fail with err.
func dials(u *Upstream, err error) {
	u.transports.dialTCP = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
}

// The words are those of RFC 9209 section 2.3.
func TestWhatDidNotConnectIsToldExactly(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"nobody listens", os.NewSyscallError("connect", syscall.ECONNREFUSED), "connection_refused"},
		{"no answer to SYN", os.ErrDeadlineExceeded, "connection_timeout"},
		{"the kernel gives up", os.NewSyscallError("connect", syscall.ETIMEDOUT), "connection_timeout"},
		{"no route to the host", os.NewSyscallError("connect", syscall.EHOSTUNREACH), "destination_ip_unroutable"},
		{"no route to its network", os.NewSyscallError("connect", syscall.ENETUNREACH), "destination_ip_unroutable"},
		{"no such name", &net.DNSError{Err: "no such host", IsNotFound: true}, "dns_error"},
		{"a name server that is silent", &net.DNSError{Err: "i/o timeout", IsTimeout: true}, "dns_timeout"},
		{"a reset", os.NewSyscallError("read", syscall.ECONNRESET), "connection_terminated"},
		{"no descriptors", os.NewSyscallError("socket", syscall.EMFILE), ""},
	}
	eachTransport(t, func(t *testing.T, to maker) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				u := to(t, nil, "http://orders.example.com")
				dials(u, tt.err)
				_, err := u.RoundTrip(request("GET", "/", "").Request)
				wantProxyError(t, err, exchange.FailedConnect, tt.want)
			})
		}
		t.Run("a real port that nobody listens on", func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			_, err = to(t, nil, "http://"+l.Addr().String()).RoundTrip(request("GET", "/", "").Request)
			wantProxyError(t, err, exchange.FailedConnect, "connection_refused")
		})
		t.Run("an answer that is late is not about the connection", func(t *testing.T) {
			_, err := to(t, nil, raw(t, resets)).RoundTrip(request("GET", "/", "").Request)
			wantProxyError(t, err, exchange.FailedReset, "")
		})
	})
}

func TestTLSThatDoesNotComeAboutIsToldExactly(t *testing.T) {
	says := func(text string) script {
		return func(c *net.TCPConn, in *bufio.Reader) {
			_, _ = in.Peek(1)
			io.WriteString(c, text)
			io.Copy(io.Discard, in)
		}
	}
	secure := func(url string) string { return strings.Replace(url, "http:", "https:", 1) }
	mutual := func(max uint16) string {
		return handle(t, func(s *httptest.Server) {
			s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: max}
			s.StartTLS()
		}, nil).URL
	}
	tests := []struct {
		name, url string
		kind      exchange.FailureKind
		want      string
	}{
		{"an untrusted certificate", handle(t, startTLS, nil).URL, exchange.FailedConnect, "tls_certificate_error"},
		{"no TLS", secure(raw(t, says("HTTP/1.1 400 Bad Request\r\n\r\n"))), exchange.FailedConnect, "tls_protocol_error"},
		{"an alert", secure(raw(t, says("\x15\x03\x03\x00\x02\x02\x28"))), exchange.FailedConnect, "tls_alert_received"},
		{"closed in the handshake", secure(raw(t, func(*net.TCPConn, *bufio.Reader) {})), exchange.FailedConnect, "connection_terminated"},
		{"a handshake that hangs", secure(raw(t, hangs)), exchange.FailedConnect, "connection_timeout"},
		{"a client certificate is missed in the handshake", mutual(tls.VersionTLS12), exchange.FailedConnect, "tls_alert_received"},
		{"a client certificate is missed behind it", mutual(tls.VersionTLS13), exchange.FailedReset, "tls_alert_received"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := to(t, func(c *Config) {
				if strings.Contains(tt.name, "hangs") {
					c.Pool.ConnectTimeout = 10 * time.Millisecond
				}
			}, tt.url)
			if strings.Contains(tt.name, "missed") {
				u = New("orders", config(nil, tt.url), &tls.Config{InsecureSkipVerify: true}, nil)
				t.Cleanup(u.Close)
			}
			_, err := u.RoundTrip(request("GET", "/", "").Request)
			wantProxyError(t, err, tt.kind, tt.want)
		})
	}
}

func wantProxyError(t *testing.T, err error, kind exchange.FailureKind, want string) {
	t.Helper()
	f, ok := errors.AsType[*exchange.Failure](err)
	if ok && f.Kind == exchange.FailedBeforeRequest {
		f.Kind = exchange.FailedReset // an alert may overtake the request
	}
	if !ok || f.Kind != kind || f.Proxy != want {
		t.Errorf("error = %#v (%v), want kind %s, told as %q", err, err, kind, want)
	}
}
