//go:build unix

package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// full returns the URL of a port whose queue of connections is full: it answers
// no SYN more.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.(*syscall.SockaddrInet4).Port}).String()
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
		if err != nil {
			return "http://" + addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("the queue of a port that nobody accepts from does not fill up here")
	return ""
}

// Each bound in time has a word of its own.
func TestEachBoundInTimeIsToldByItsName(t *testing.T) {
	secure := func(url string) string { return strings.Replace(url, "http:", "https:", 1) }
	const short, never = 20 * time.Millisecond, time.Minute
	times := func(connect, tls, header time.Duration) func(*Config) {
		return func(c *Config) {
			c.Pool.ConnectTimeout, c.Pool.TLSTimeout, c.ResponseHeaderTimeout = connect, tls, header
		}
	}
	tests := []struct {
		name  string
		url   func(t *testing.T) string
		times func(*Config)
		kind  exchange.FailureKind
		why   exchange.Reason
	}{
		{
			"it accepts no connection", full,
			times(short, never, never), exchange.FailedConnect, exchange.UpstreamConnectTimeout,
		},
		{
			"it accepts no connection for TLS", func(t *testing.T) string { return secure(full(t)) },
			times(short, never, never), exchange.FailedConnect, exchange.UpstreamConnectTimeout,
		},
		{
			"it never shakes hands", func(t *testing.T) string { return secure(raw(t, hangs)) },
			times(never, short, never), exchange.FailedConnect, exchange.UpstreamTLSTimeout,
		},
		{
			"it never shakes hands, and there is one bound for both", func(t *testing.T) string { return secure(raw(t, hangs)) },
			times(short, 0, never), exchange.FailedConnect, exchange.UpstreamTLSTimeout,
		},
		{
			"it never answers", func(t *testing.T) string { return raw(t, hangs) },
			times(never, never, short), exchange.FailedTimeout, exchange.UpstreamHeaderTimeout,
		},
	}
	eachTransport(t, func(t *testing.T, to maker) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				_, err := to(t, tt.times, tt.url(t)).RoundTrip(request("GET", "/", "").Request)
				f, ok := errors.AsType[*exchange.Failure](err)
				if !ok || f.Kind != tt.kind || f.Reason() != tt.why {
					t.Fatalf("error = %v, want %s told as %s", err, tt.kind, tt.why)
				}
				if want := tt.why.Answer().Proxy; f.Proxy != "" && f.Proxy != want {
					t.Errorf("Proxy-Status is told %s, want %s", f.Proxy, want)
				}
			})
		}
	})
}

// piped has u call the other end of a pipe, once for each script.
func piped(u *Upstream, scripts ...func(c net.Conn, requests *bufio.Reader)) (dials *int) {
	dials = new(int)
	u.transports.dialTCP = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		script := scripts[min(*dials, len(scripts)-1)]
		*dials++
		go func() {
			defer theirs.Close()
			script(theirs, bufio.NewReader(theirs))
		}()
		return ours, nil
	}
	return dials
}

// in runs test in a bubble, over each transport.
func in(t *testing.T, test func(t *testing.T, u *Upstream)) {
	t.Helper()
	for _, transport := range []string{Direct, Standard} {
		t.Run(transport, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := to(t, func(c *Config) {
					c.Transport, c.ResponseHeaderTimeout = transport, time.Second
				}, "http://10.0.0.1:80")
				test(t, u)
				u.Close()
				time.Sleep(time.Minute) // for scripts to see that
			})
		})
	}
}

func TestAHeaderTimeoutEndsAtTheHeaders(t *testing.T) {
	in(t, func(t *testing.T, u *Upstream) {
		piped(u, func(c net.Conn, requests *bufio.Reader) {
			for range 2 { // over one connection
				if _, err := readRequest(requests); err != nil {
					return
				}
				time.Sleep(900 * time.Millisecond)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")
				time.Sleep(time.Minute)
				io.WriteString(c, "ow")
			}
		})
		for range 2 {
			if _, text := get(t, u, request("GET", "/", "")); text != "slow" {
				t.Errorf("body = %q, want slow", text)
			}
		}
	})
}

// A head is late when its end is, however much comes before that.
func TestAHeadThatTricklesIsLate(t *testing.T) {
	for name, part := range map[string]string{
		"a field without end": "x", "interim responses without end": "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, u *Upstream) {
				piped(u, func(c net.Conn, requests *bufio.Reader) {
					_, err := readRequest(requests)
					if part == "x" {
						io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
					}
					for ; err == nil; time.Sleep(300 * time.Millisecond) {
						_, err = io.WriteString(c, part)
					}
				})
				start := time.Now()
				_, err := u.RoundTrip(request("POST", "/", "x").Request)
				if f, ok := errors.AsType[*exchange.Failure](err); !ok || f.Why != exchange.UpstreamHeaderTimeout || time.Since(start) != time.Second {
					t.Errorf("error = %v after %v, want upstream_header_timeout after 1s", err, time.Since(start))
				}
			})
		})
	}
}

func TestAHeaderTimeoutHoldsOverEachProtocol(t *testing.T) {
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1": (*httptest.Server).Start, "h2c": startH2C, "TLS": startTLS,
	} {
		t.Run(name, func(t *testing.T) {
			srv := handle(t, start, hangs)
			c := config(func(c *Config) {
				c.ResponseHeaderTimeout = 20 * time.Millisecond
				if name == "h2c" {
					c.Protocol = exchange.H2C
				}
			}, srv.URL)
			roots := x509.NewCertPool()
			if srv.Certificate() != nil {
				roots.AddCert(srv.Certificate())
			}
			u := newUpstream("orders", c, &transports{config: c, tls: &tls.Config{RootCAs: roots}})
			t.Cleanup(u.Close)
			_, err := u.RoundTrip(request("GET", "/", "").Request)
			if f, ok := errors.AsType[*exchange.Failure](err); !ok || f.Kind != exchange.FailedTimeout || f.Why != exchange.UpstreamHeaderTimeout {
				t.Errorf("error = %v, want upstream_header_timeout", err)
			}
		})
	}
}

// The upstream has it: whether to ask again is for a retry policy to say.
func TestACallThatWasNotAnsweredInTimeIsNotMadeAgainByItself(t *testing.T) {
	in(t, func(t *testing.T, u *Upstream) {
		dials := piped(u, func(c net.Conn, requests *bufio.Reader) {
			if _, err := readRequest(requests); err == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			io.Copy(io.Discard, requests)
		})
		get(t, u, request("GET", "/", ""))
		s := request("GET", "/", "")
		_, err := u.RoundTrip(s.Request)
		if kindOf(t, err) != exchange.FailedTimeout || *dials != 1 || s.attempt.Replays != 0 {
			t.Errorf("error = %v after %d dials and %d replays, want a timeout, 1 and none", err, *dials, s.attempt.Replays)
		}
	})
}

// Whoever is first to end a call says why.
func TestACallersDeadlineGoesBeforeALongerHeaderTimeout(t *testing.T) {
	in(t, func(t *testing.T, u *Upstream) {
		piped(u, func(_ net.Conn, requests *bufio.Reader) { io.Copy(io.Discard, requests) })
		ctx, cancel := context.WithTimeoutCause(context.Background(), 300*time.Millisecond,
			&exchange.Refusal{Kind: exchange.ByClient, Reason: exchange.DeadlineExceeded})
		defer cancel()
		_, err := u.RoundTrip(request("GET", "/", "").WithContext(ctx))
		if refusal, ok := errors.AsType[*exchange.Refusal](err); !ok || refusal.Reason != exchange.DeadlineExceeded {
			t.Errorf("error = %v, want the caller's deadline", err)
		}
	})
}
