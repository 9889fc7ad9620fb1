package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidecar/internal/exchange"
)

// longest is timed with a bound on the whole exchange.
func longest(timeout, idle, maxDuration string) string {
	return strings.Replace(timed(timeout, idle), "streamIdleTimeout:", "maxDuration: "+maxDuration+", streamIdleTimeout:", 1)
}

// patient returns a request of a trusted caller that waits so long.
func patient(timeout string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set(requestTimeoutHeader, timeout)
	return r
}

// answersAfter is an upstream that takes so long for its headers.
func answersAfter(d time.Duration) exchange.RoundTripFunc {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return exchange.NewResponse(r, 200, "", nil, nil), nil
		case <-r.Context().Done():
			return nil, exchange.Ended(r.Context())
		}
	}
}

func TestATrustedCallersTimeoutShortensAndNeverExtends(t *testing.T) {
	tests := []struct {
		name, timeout string
		answer        time.Duration // takes so long
		status        int
		took          time.Duration
		reason        exchange.Reason
		failures      int
	}{
		{"shorter", "2", time.Hour, 504, 2 * time.Second, exchange.DeadlineExceeded, 0},
		{"shorter, with a unit", "1500ms", time.Hour, 504, 1500 * time.Millisecond, exchange.DeadlineExceeded, 0},
		{"shorter, and long enough", "2", time.Second, 200, time.Second, "", 0},
		{"nearly as long as the route's", "2.9", time.Hour, 504, 2900 * time.Millisecond, exchange.DeadlineExceeded, 0},
		{"longer", "1h", time.Hour, 504, 3 * time.Second, exchange.UpstreamTimeout, 1},
		{"as long as the route's", "3", time.Hour, 504, 3 * time.Second, exchange.UpstreamTimeout, 1},
		{"none that could be read", "quickly", time.Hour, 504, 3 * time.Second, exchange.UpstreamTimeout, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, timed("3s", "1m"), answersAfter(tt.answer), func(t *testing.T, p *Proxy, saw *seen) {
				resp := serve(p, newConn(), patient(tt.timeout))
				e := saw.next(t)
				if resp.StatusCode != tt.status || e.Took != tt.took || e.Reason != tt.reason {
					t.Errorf("%d %q after %v, want %d %q after %v", resp.StatusCode, e.Reason, e.Took, tt.status, tt.reason, tt.took)
				}
				if got := p.Snapshot().Breakers()[0].Status().Failures; got != tt.failures {
					t.Errorf("the breaker counts %d failures, want %d: a caller's impatience is its own", got, tt.failures)
				}
			})
		})
	}
}

func TestAStrangersTimeoutCountsForNothing(t *testing.T) {
	var sent http.Header
	slow := func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return answersAfter(time.Second)(r)
	}
	inBubble(t, timed("3s", "1m"), slow, func(t *testing.T, p *Proxy, saw *seen) {
		r := patient("0.001")
		r.RemoteAddr = "203.0.113.7:1234"
		r.Header["X_request_timeout"] = []string{"1"}
		if resp := serve(p, newConn(), r); resp.StatusCode != 200 {
			t.Errorf("status %d, want 200", resp.StatusCode)
		}
		for name := range sent {
			if exchange.Dashed(name) == requestTimeoutHeader {
				t.Errorf("the upstream sees %s, want it stripped", name)
			}
		}
	})
}

func TestACallThatIsOverOnArrivalIsNotMade(t *testing.T) {
	calls := 0
	counts := func(r *http.Request) (*http.Response, error) {
		calls++
		return exchange.NewResponse(r, 200, "", nil, nil), nil
	}
	grpc := func(timeout string) *http.Request { return call(timeout, http.NoBody) }
	for name, r := range map[string]*http.Request{
		"no time": patient("0"), "less than none": patient("-1s"), "a gRPC call": grpc("0S"),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, with("rateLimit: few", "rateLimit: {few: {rate: 1/h, burst: 1, key: []}}"), counts, func(t *testing.T, p *Proxy, saw *seen) {
				for range 2 { // the limit would refuse the second one, if the first had spent it
					serve(p, newConn(), r)
					if e := saw.next(t); e.Status != 504 && !strings.Contains(name, "gRPC") || e.Reason != exchange.DeadlineExceeded {
						t.Errorf("status %d, reason %q, want 504 deadline_exceeded", e.Status, e.Reason)
					}
				}
			})
		})
	}
	if calls != 0 {
		t.Errorf("the upstream is called %d times, want none", calls)
	}
}

func TestNoCallIsMadeWhenTheGatesHaveTakenAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := deadline(times{})(exchange.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			t.Error("the upstream is called")
			return exchange.NewResponse(r, 200, "", nil, nil), nil
		}))
		r := patient("2")
		r = r.WithContext(New(Options{}).open(httptest.NewRecorder(), r, trusted{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}))
		if err := guardOf(r).arrive(0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		_, err := rt.RoundTrip(r)
		if refusal, ok := errors.AsType[*exchange.Refusal](err); !ok || refusal.Reason != exchange.DeadlineExceeded {
			t.Errorf("error = %v, want deadline_exceeded", err)
		}
	})
}

// What is left is told, in the caller's own form, and gets less with each
// attempt.
func TestEachAttemptIsToldWhatIsLeft(t *testing.T) {
	tests := []struct {
		name string
		r    func() *http.Request
		want string
	}{
		{"in seconds", func() *http.Request { return patient("10") }, "10 9 8"},
		{"in units", func() *http.Request { return patient("10s") }, "10000ms 9000ms 8000ms"},
		{"not said, not told", func() *http.Request { return httptest.NewRequest("GET", "/", nil) }, "- - -"},
		{"nonsense of a trusted peer is passed on", func() *http.Request { return patient("quickly") }, "quickly quickly quickly"},
		{"longer than the route gives", func() *http.Request { return patient("30") }, "20 19 18"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var told []string
			fails := func(r *http.Request) (*http.Response, error) {
				value := r.Header.Get(requestTimeoutHeader)
				if value == "" {
					value = "-"
				}
				told = append(told, value)
				time.Sleep(time.Second)
				return exchange.NewResponse(r, 503, "", nil, nil), nil
			}
			text := with("retry: thrice", "retry: {thrice: {maxAttempts: 3, backoff: {base: 0s, max: 0s}}}")
			text = strings.Replace(text, "upstream: app, use", "upstream: app, maxDuration: 20s, use", 1)
			inBubble(t, text, fails, func(t *testing.T, p *Proxy, saw *seen) {
				serve(p, newConn(), tt.r())
			})
			if got := strings.Join(told, " "); got != tt.want {
				t.Errorf("told %s, want %s", got, tt.want)
			}
		})
	}
}

// The caller waits from when it sent the request, and the upstream is given all
// of its time behind the gates.
func TestWhatGatesTakeIsTheCallersTimeAndNotTheUpstreams(t *testing.T) {
	text := with("validation: whole", "validation: {whole: {json: {maxDepth: 5}}}")
	tests := []struct {
		timeout string
		took    time.Duration
		reason  exchange.Reason
	}{
		{"", 7 * time.Second, exchange.UpstreamTimeout},
		{"3", 3 * time.Second, exchange.DeadlineExceeded},
	}
	for _, tt := range tests {
		inBubble(t, text, answersAfter(time.Hour), func(t *testing.T, p *Proxy, saw *seen) {
			c := newConn()
			r := post(c, 2*time.Second)
			r.RemoteAddr = "127.0.0.1:1234"
			if tt.timeout != "" {
				r.Header.Set(requestTimeoutHeader, tt.timeout)
			}
			serve(p, c, r)
			if e := saw.next(t); e.Reason != tt.reason || e.Took != tt.took {
				t.Errorf("timeout %q: %q after %v, want %q after %v", tt.timeout, e.Reason, e.Took, tt.reason, tt.took)
			}
		})
	}
}

// late is a body that comes whole after a while, or by the connection's read
// deadline not at all.
type late struct {
	io.Reader
	conn  *conn
	after time.Duration
}

func (b *late) Read(p []byte) (int, error) {
	here := time.After(b.after)
	b.after = 0
	for {
		select {
		case <-here:
			return b.Reader.Read(p)
		case at := <-b.conn.readDeadline:
			if until := time.Until(at); until <= 0 {
				return 0, os.ErrDeadlineExceeded
			} else if !at.IsZero() {
				time.AfterFunc(until, func() { b.conn.readDeadline <- longAgo })
			}
		}
	}
}

// post returns a request whose body comes after a while.
func post(c *conn, after time.Duration) *http.Request {
	r := httptest.NewRequest("POST", "/", &late{strings.NewReader("{}"), c, after})
	r.ContentLength = 2
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestMaxDurationEndsEvenWhatMoves(t *testing.T) {
	drips := func(r *http.Request) (*http.Response, error) {
		resp := exchange.NewResponse(r, 200, "", nil, nil)
		resp.Body = &drip{every: time.Second, left: 100, ctx: r.Context()}
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
		return resp, nil
	}
	caller := func() *http.Request { return patient("4") }
	stranger := func() *http.Request { return httptest.NewRequest("GET", "/", nil) }
	tests := []struct {
		name   string
		r      func() *http.Request
		took   time.Duration
		reason exchange.Reason
		kind   string
	}{
		{"of the route", stranger, 10500 * time.Millisecond, exchange.MaxDuration, exchange.ByRoute},
		{"of its caller", caller, 4 * time.Second, exchange.DeadlineExceeded, exchange.ByClient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, longest("3s", "5s", "10500ms"), drips, func(t *testing.T, p *Proxy, saw *seen) {
				c := newConn()
				if resp := serve(p, c, tt.r()); resp != nil {
					t.Error("the client gets a whole answer, want its connection cut")
				}
				e := saw.next(t)
				if e.Reason != tt.reason || e.Took != tt.took {
					t.Errorf("reason %q after %v, want %q after %v", e.Reason, e.Took, tt.reason, tt.took)
				}
				if d, ok := e.noted(tt.reason); !ok || d.Kind != tt.kind || d.Outcome != exchange.Broken {
					t.Errorf("the record says %+v, want it broken by the %s", d, tt.kind)
				}
				if len(c.written) != 1 {
					t.Error("a client that does not read is not woken")
				}
				if got := p.Snapshot().Breakers()[0].Status().Failures; got != 0 {
					t.Errorf("the breaker counts %d failures, want none: the headers came in time", got)
				}
			})
		})
	}
}

// Before the headers a maxDuration that runs out is the upstream's failure, if
// that had its time.
func TestWhoIsToBlameForAnExchangeThatTookTooLong(t *testing.T) {
	tests := []struct {
		name, text string
		r          func(c *conn) *http.Request
		took       time.Duration
		reason     exchange.Reason
		status     int
		failures   int
	}{
		{
			"an upstream that hangs", longest("0s", "1m", "4s"),
			func(*conn) *http.Request { return httptest.NewRequest("GET", "/", nil) },
			4 * time.Second, exchange.MaxDuration, 504, 1,
		},
		{
			"a client that does not send its body", longest("0s", "1m", "4s"),
			func(c *conn) *http.Request {
				r := httptest.NewRequest("POST", "/", &slowBody{conn: c, every: time.Second, left: 100})
				r.ContentLength = 100
				return r
			},
			4 * time.Second, exchange.ClientTimeout, 408, 0,
		},
		{
			"a gate that took most of it", strings.Replace(longest("4s", "1m", "4s"), "use: {", "use: {validation: {json: {maxDepth: 5}}, ", 1),
			func(c *conn) *http.Request { return post(c, 3*time.Second) },
			4 * time.Second, exchange.MaxDuration, 504, 0,
		},
	}
	reads := func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, &exchange.Failure{Kind: exchange.FailedClient, Err: err}
			}
		}
		return nil, ended(r.Context())
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.text, reads, func(t *testing.T, p *Proxy, saw *seen) {
				c := newConn()
				serve(p, c, tt.r(c))
				if e := saw.next(t); e.Reason != tt.reason || e.Took != tt.took || e.Status != tt.status {
					t.Errorf("%d %q after %v, want %d %q after %v", e.Status, e.Reason, e.Took, tt.status, tt.reason, tt.took)
				}
				if got := p.Snapshot().Breakers()[0].Status().Failures; got != tt.failures {
					t.Errorf("the breaker counts %d failures, want %d", got, tt.failures)
				}
			})
		})
	}
}

// No attempt is begun that nobody waits for.
func TestRetriesEndWithTheCallersTime(t *testing.T) {
	fails := func(r *http.Request) (*http.Response, error) {
		time.Sleep(time.Second)
		return exchange.NewResponse(r, 503, "", nil, nil), nil
	}
	text := with("retry: patient", "retry: {patient: {maxAttempts: 10, backoff: {base: 2s, max: 2s}}}")
	inBubble(t, text, fails, func(t *testing.T, p *Proxy, saw *seen) {
		resp := serve(p, newConn(), patient("4"))
		// 1s, a wait of 1s, 1s, and another wait would end with the fourth.
		if e := saw.next(t); e.Attempts != 2 || e.Took != 3*time.Second || resp.StatusCode != 503 {
			t.Errorf("%d after %d attempts and %v, want 503 after 2 and 3s", resp.StatusCode, e.Attempts, e.Took)
		}
	})
}
