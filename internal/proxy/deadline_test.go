package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// conn is a client's connection in a bubble: what the server's writer does
// with deadlines, without a socket.
type conn struct {
	*httptest.ResponseRecorder
	readDeadline chan time.Time
	written      chan time.Time
}

func newConn() *conn {
	return &conn{httptest.NewRecorder(), make(chan time.Time, 10), make(chan time.Time, 10)}
}

func (c *conn) SetReadDeadline(at time.Time) error  { c.readDeadline <- at; return nil }
func (c *conn) SetWriteDeadline(at time.Time) error { c.written <- at; return nil }

// slowBody gives one byte each time that every passes, until the connection's
// read deadline.
type slowBody struct {
	conn  *conn
	every time.Duration
	left  int
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(b.every):
		b.left--
		p[0] = 'x'
		return 1, nil
	case <-b.conn.readDeadline:
		return 0, os.ErrDeadlineExceeded
	}
}

func (b *slowBody) Close() error { return nil }

// serve sends r through p as a server would, and returns the answer, or nil
// for a connection that was cut.
func serve(p *Proxy, c *conn, r *http.Request) (resp *http.Response) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				panic(v)
			}
			resp = nil
		}
	}()
	// Under a server ReverseProxy cuts the connection when a body breaks.
	ctx := context.WithValue(r.Context(), http.ServerContextKey, &http.Server{})
	p.ServeHTTP(c, r.WithContext(ctx))
	return c.Result()
}

// timed is minimal with times of its own, and one attempt.
func timed(timeout, idle string) string {
	return `
version: v1
upstreams: {app: {endpoints: [{url: "${UPSTREAM}"}]}}
routes: [{name: all, upstream: app, timeout: ` + timeout + `, streamIdleTimeout: ` + idle + `, use: {retry: {maxAttempts: 1}}}]
`
}

// inBubble applies text over upstream, and runs f in a bubble of fake time.
func inBubble(t *testing.T, text string, upstream exchange.RoundTripFunc, f func(t *testing.T, p *Proxy, saw *seen)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, saw := apply(t, text, "http://127.0.0.1:1", func(o *Options) {
			o.Transport, o.Random = upstream, func() float64 { return 0.5 }
		})
		f(t, p, saw)
	})
}

// ended returns the error with which a real transport reports that the context
// of a call has ended.
func ended(ctx context.Context) error {
	<-ctx.Done()
	return exchange.Ended(ctx)
}

func TestAPanicLeavesNoClockRunning(t *testing.T) {
	x := newCrossing()
	x.Context = t.Context()
	x.guard.limit = limit{at: time.Now().Add(time.Hour), after: time.Hour}
	defer func() {
		if recover() == nil {
			t.Error("does not panic")
		}
		if x.own.bell.rings != nil || x.call.Err() == nil {
			t.Error("the bell still rings for the exchange, or its call goes on")
		}
	}()
	bug := exchange.RoundTripFunc(func(*http.Request) (*http.Response, error) { panic("a bug") })
	_, _ = deadline(times{time.Hour, time.Hour})(bug).RoundTrip(httptest.NewRequest("GET", "/", nil).WithContext(x))
}

func TestAnUpstreamThatHangsIs504WhenTheTimeoutEnds(t *testing.T) {
	hangs := func(r *http.Request) (*http.Response, error) { return nil, ended(r.Context()) }
	inBubble(t, timed("3s", "1m"), hangs, func(t *testing.T, p *Proxy, saw *seen) {
		start := time.Now()
		resp := serve(p, newConn(), httptest.NewRequest("GET", "/", nil))
		if took := time.Since(start); resp.StatusCode != 504 || took != 3*time.Second {
			t.Errorf("status %d after %v, want 504 after 3s", resp.StatusCode, took)
		}
		if e := saw.next(t); e.Reason != exchange.UpstreamTimeout {
			t.Errorf("reason = %q, want upstream_timeout", e.Reason)
		}
	})
}

func TestASlowUploadIsTheClientsFault(t *testing.T) {
	reads := func(r *http.Request) (*http.Response, error) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, &exchange.Failure{Kind: exchange.FailedClient, Err: err}
		}
		return exchange.NewResponse(r, 200, "", nil, nil), nil
	}
	inBubble(t, timed("3s", "1m"), reads, func(t *testing.T, p *Proxy, saw *seen) {
		c := newConn()
		r := httptest.NewRequest("POST", "/", &slowBody{conn: c, every: 700 * time.Millisecond, left: 100})
		r.ContentLength = 100
		start := time.Now()
		resp := serve(p, c, r)
		if took := time.Since(start); resp.StatusCode != 408 || took != 3*time.Second {
			t.Errorf("status %d after %v, want 408 after 3s", resp.StatusCode, took)
		}
		e := saw.next(t)
		if e.Reason != exchange.ClientTimeout {
			t.Errorf("reason = %q, want client_timeout", e.Reason)
		}
		if got := p.Snapshot().Breakers()[0].Status(); got.Failures != 0 {
			t.Errorf("the breaker counts %d failures, want none", got.Failures)
		}
	})
}

func TestATimeoutEndsAtTheHeadersAndLargeBodiesLive(t *testing.T) {
	slow := func(r *http.Request) (*http.Response, error) {
		resp := exchange.NewResponse(r, 200, "", nil, nil)
		resp.Body = &drip{every: 2 * time.Second, left: 20, ctx: r.Context()}
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
		return resp, nil
	}
	inBubble(t, timed("3s", "5s"), slow, func(t *testing.T, p *Proxy, saw *seen) {
		c := newConn()
		resp := serve(p, c, httptest.NewRequest("GET", "/", nil))
		if resp == nil || len(c.Body.String()) != 20 {
			t.Fatalf("got %v with %d bytes, want all 20 bytes over 40s", resp, c.Body.Len())
		}
		if e := saw.next(t); e.Reason != "" || e.Took != 40*time.Second {
			t.Errorf("reason %q after %v, want none after 40s", e.Reason, e.Took)
		}
	})
}

func TestAStreamThatStandsStillIsCut(t *testing.T) {
	stalls := func(r *http.Request) (*http.Response, error) {
		resp := exchange.NewResponse(r, 200, "", nil, nil)
		resp.Body = &drip{every: time.Second, left: 3, stall: true, ctx: r.Context()}
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
		return resp, nil
	}
	inBubble(t, timed("3s", "10s"), stalls, func(t *testing.T, p *Proxy, saw *seen) {
		if resp := serve(p, newConn(), httptest.NewRequest("GET", "/", nil)); resp != nil {
			t.Errorf("the client gets a whole answer, want its connection cut")
		}
		if e := saw.next(t); e.Reason != exchange.StreamIdle || e.Took != 13*time.Second {
			t.Errorf("reason %q after %v, want stream_idle after 13s", e.Reason, e.Took)
		}
	})
}

// drip is a body of one byte each time that every passes.
type drip struct {
	every time.Duration
	left  int
	stall bool // after the last byte, instead of the end
	ctx   context.Context
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		if !d.stall {
			return 0, io.EOF
		}
		return 0, ended(d.ctx)
	}
	select {
	case <-time.After(d.every):
		d.left--
		p[0] = 'x'
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func (d *drip) Close() error { return nil }

// call returns a gRPC call whose messages come from body.
func call(timeout string, body io.Reader) *http.Request {
	r := httptest.NewRequest("POST", "/pkg.Service/Method", body)
	r.ProtoMajor, r.ProtoMinor = 2, 0
	r.Header.Set("Content-Type", "application/grpc")
	if timeout != "" {
		r.Header.Set("Grpc-Timeout", timeout)
	}
	r.ContentLength = -1
	return r
}

func TestAGRPCCallEndsWithItsOwnTimeout(t *testing.T) {
	var sent string
	hangs := func(r *http.Request) (*http.Response, error) {
		sent = r.Header.Get("Grpc-Timeout")
		_, _ = io.Copy(io.Discard, r.Body)
		return nil, ended(r.Context())
	}
	inBubble(t, timed("3s", "1m"), hangs, func(t *testing.T, p *Proxy, saw *seen) {
		resp := serve(p, newConn(), call("8S", strings.NewReader("message")))
		if resp.StatusCode != 200 || resp.Header.Get("Grpc-Status") != "4" {
			t.Errorf("status %d, grpc-status %q, want 200 and 4 DEADLINE_EXCEEDED", resp.StatusCode, resp.Header.Get("Grpc-Status"))
		}
		if e := saw.next(t); e.Took != 8*time.Second {
			t.Errorf("took %v, want the caller's 8s, not the route's 3s: its message was sent", e.Took)
		}
		if sent != "8000000u" {
			t.Errorf("the upstream is told %q, want what is left: 8000000u", sent)
		}
	})
}

func TestAGRPCStreamWhoseServerIsLateWithItsHeadersLives(t *testing.T) {
	late := func(r *http.Request) (*http.Response, error) {
		_, _ = r.Body.Read(make([]byte, 10))
		time.Sleep(30 * time.Second)
		if r.Context().Err() != nil {
			return nil, ended(r.Context())
		}
		return exchange.GRPCResponse(r, 0, "", nil), nil
	}
	inBubble(t, timed("3s", "1m"), late, func(t *testing.T, p *Proxy, saw *seen) {
		resp := serve(p, newConn(), call("", strings.NewReader("message")))
		if got := resp.Header.Get("Grpc-Status"); got != "0" {
			t.Errorf("grpc-status = %q, want the upstream's 0 after 30s", got)
		}
	})
}

// A stream whose client may still speak is open, not slow. Its server is at
// fault for not answering, if it had a message and as long as the route gives
// it: a caller's own impatience opens nobody's breaker.
func TestWhoIsToBlameForAGRPCStreamWithoutAnAnswer(t *testing.T) {
	hangs := func(r *http.Request) (*http.Response, error) {
		go func() { _, _ = io.Copy(io.Discard, r.Body) }()
		return nil, ended(r.Context())
	}
	tests := []struct {
		name, timeout string
		message       time.Duration // when the first one comes
		reason        exchange.Reason
		failures      int
	}{
		{"its own timeout, longer than the route's", "4S", time.Second, exchange.UpstreamTimeout, 1},
		{"its own timeout, shorter", "2S", time.Second, exchange.DeadlineExceeded, 0},
		{"next to none", "1n", time.Second, exchange.DeadlineExceeded, 0},
		{"the route's timeout, and no message", "", time.Hour, exchange.DeadlineExceeded, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, timed("3s", "1m"), hangs, func(t *testing.T, p *Proxy, saw *seen) {
				c := newConn()
				body := io.MultiReader(&slowBody{conn: c, every: tt.message, left: 1}, &slowBody{conn: c, every: time.Hour, left: 1})
				resp := serve(p, c, call(tt.timeout, body))
				if got := resp.Header.Get("Grpc-Status"); got != "4" {
					t.Errorf("grpc-status = %q, want 4", got)
				}
				if e := saw.next(t); e.Reason != tt.reason {
					t.Errorf("reason = %q, want %q", e.Reason, tt.reason)
				}
				if got := p.Snapshot().Breakers()[0].Status(); got.Failures != tt.failures {
					t.Errorf("the breaker counts %d failures, want %d", got.Failures, tt.failures)
				}
			})
		})
	}
}

// An answer can still be given while there are no response headers, so nothing
// is cut off.
func TestAGRPCCallThatStandsStillIsAnswered(t *testing.T) {
	hangs := func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return nil, ended(r.Context())
	}
	inBubble(t, timed("3s", "10s"), hangs, func(t *testing.T, p *Proxy, saw *seen) {
		c := newConn()
		resp := serve(p, c, call("", strings.NewReader("message")))
		if got := resp.Header.Get("Grpc-Status"); got != "4" || len(c.written) != 0 {
			t.Errorf("grpc-status = %q, %d write deadlines, want 4 and none", got, len(c.written))
		}
		if e := saw.next(t); e.Reason != exchange.UpstreamTimeout || e.Took != 10*time.Second {
			t.Errorf("reason %q after %v, want upstream_timeout after 10s", e.Reason, e.Took)
		}
	})
}

func TestGRPCTimeouts(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond,
		"5u": 5 * time.Microsecond, "6n": 6, "99999999H": 1 << 62,
		"": -1, "S": -1, "1": -1, "1x": -1, "-1S": -1, "123456789S": -1, "1.5S": -1,
	} {
		got, ok := grpcTimeout(http.Header{"Grpc-Timeout": {value}})
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("grpcTimeout(%q) = %v, %v, want %v", value, got, ok, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-1: "1n", 0: "1n", 5: "5n", time.Second: "1000000u", time.Minute: "60000000u",
		100 * time.Second: "100000m", 48 * time.Hour: "172800S",
	} {
		if got := formatGRPCTimeout(d); got != want {
			t.Errorf("formatGRPCTimeout(%v) = %q, want %q", d, got, want)
		}
	}
}

func FuzzGRPCTimeout(f *testing.F) {
	f.Add("5S")
	f.Fuzz(func(t *testing.T, value string) {
		d, ok := grpcTimeout(http.Header{"Grpc-Timeout": {value}})
		if !ok {
			return
		}
		back, ok := grpcTimeout(http.Header{"Grpc-Timeout": {formatGRPCTimeout(d)}})
		if !ok || back > max(d, 1) {
			t.Errorf("%q is %v, and told on as %v: a deadline is never extended", value, d, back)
		}
	})
}

// The upstream is told the deadline too. Whichever of both is first to end the
// call: it is the caller's, and nobody's failure.
func TestACallThatIsOverIsNotTheUpstreamsFailure(t *testing.T) {
	resets := func(r *http.Request) (*http.Response, error) {
		time.Sleep(time.Until(exchange.From(r.Context()).Deadline))
		return nil, &exchange.Failure{Kind: exchange.FailedReset, Err: io.ErrUnexpectedEOF}
	}
	inBubble(t, timed("5s", "1m"), resets, func(t *testing.T, p *Proxy, saw *seen) {
		for range 50 { // timers of one moment fire in any order
			serve(p, newConn(), call("300m", http.NoBody))
			if e := saw.next(t); e.Reason != exchange.DeadlineExceeded {
				t.Fatalf("reason = %q, want deadline_exceeded", e.Reason)
			}
		}
		if s := p.Snapshot().Breakers()[0].Status(); s.Failures != 0 {
			t.Errorf("the breaker counts %d failures, want none", s.Failures)
		}
	})
}
